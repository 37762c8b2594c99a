from django.db import models
from django.utils import timezone


class Question(models.Model):
    text = models.CharField(max_length=200)
    published = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-published"]

    def __str__(self) -> str:
        return self.text

    def results(self) -> list[tuple["Choice", int]]:
        """The choices, the most popular first, each with its share of the votes in per cent."""
        choices = self.choices.order_by("-votes", "id")
        total = sum(choice.votes for choice in choices) or 1
        return [(choice, round(100 * choice.votes / total)) for choice in choices]


class Choice(models.Model):
    question = models.ForeignKey(Question, related_name="choices", on_delete=models.CASCADE)
    text = models.CharField(max_length=200)
    votes = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.text
