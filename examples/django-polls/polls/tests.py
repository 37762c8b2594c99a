from datetime import timedelta

from django.test import TestCase
from django.urls import set_script_prefix
from django.utils import timezone

from .models import Question


class PollsTest(TestCase):
    def setUp(self):
        Question.objects.all().delete()
        self.question = Question.objects.create(text="Tea & coffee?")
        self.tea = self.question.choices.create(text="Tea")
        self.coffee = self.question.choices.create(text="Coffee")

    def test_the_index_lists_questions_and_escapes_them(self):
        self.assertContains(self.client.get("/"), "Tea &amp; coffee?")

    def test_an_empty_site_says_so(self):
        Question.objects.all().delete()
        self.assertContains(self.client.get("/"), "no questions")

    def test_a_question_of_tomorrow_is_not_there_today(self):
        self.question.published = timezone.now() + timedelta(days=1)
        self.question.save()
        self.assertNotContains(self.client.get("/"), "Tea")
        for address in ["", "results/"]:
            self.assertEqual(self.client.get(f"/{self.question.pk}/{address}").status_code, 404)
        self.assertEqual(self.client.post(f"/{self.question.pk}/vote/", {"choice": self.tea.pk}).status_code, 404)

    def test_a_vote_counts_and_leads_to_the_results(self):
        answer = self.client.post(f"/{self.question.pk}/vote/", {"choice": self.tea.pk}, follow=True)
        self.assertRedirects(answer, f"/{self.question.pk}/results/")
        self.assertContains(answer, "100 %")
        self.tea.refresh_from_db()
        self.assertEqual(self.tea.votes, 1)

    def test_results_are_shares_with_the_most_popular_first(self):
        self.question.choices.filter(pk=self.coffee.pk).update(votes=3)
        self.question.choices.filter(pk=self.tea.pk).update(votes=1)
        self.assertEqual(self.question.results(), [(self.coffee, 75), (self.tea, 25)])

    def test_a_vote_for_nothing_asks_again(self):
        other = Question.objects.create(text="Other?").choices.create(text="Not of this question")
        for choice in ["", "x", "²", str(other.pk)]:
            answer = self.client.post(f"/{self.question.pk}/vote/", {"choice": choice})
            self.assertContains(answer, "Please pick one", status_code=422)

    def test_a_vote_by_get_is_refused(self):
        self.assertEqual(self.client.get(f"/{self.question.pk}/vote/").status_code, 405)

    def test_below_a_path_all_links_begin_with_it(self):
        self.addCleanup(set_script_prefix, "/")
        set_script_prefix("/town/")
        self.assertContains(self.client.get("/"), f'href="/town/{self.question.pk}/"')
