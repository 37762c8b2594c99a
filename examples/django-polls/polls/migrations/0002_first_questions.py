from django.db import migrations

QUESTIONS = {
    "Where shall the new bench stand?": {"By the river": 14, "Under the lime tree": 9, "At the bus stop": 4},
    "Which day shall the market be?": {"Wednesday": 6, "Saturday": 21},
    "What shall we plant on the square?": {"Apple trees": 0, "Roses": 0, "Nothing: leave it to the children": 0},
}


def ask(apps, schema_editor):
    """Some questions to begin with: an empty site is no pleasure to look at."""
    questions = apps.get_model("polls", "Question").objects
    choices = apps.get_model("polls", "Choice").objects
    for text, votes in QUESTIONS.items():
        question = questions.create(text=text)
        for choice, count in votes.items():
            choices.create(question=question, text=choice, votes=count)


class Migration(migrations.Migration):
    dependencies = [("polls", "0001_initial")]
    operations = [migrations.RunPython(ask, migrations.RunPython.noop)]
