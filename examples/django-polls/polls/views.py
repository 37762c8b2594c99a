from django.db.models import F, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from .models import Choice, Question


def published() -> QuerySet[Question]:
    """Questions whose time has come: an administrator can write tomorrow's today."""
    return Question.objects.filter(published__lte=timezone.now())


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    questions = published().annotate(votes=Sum("choices__votes", default=0))
    return render(request, "polls/index.html", {"questions": questions})


@require_safe
def question(request: HttpRequest, number: int) -> HttpResponse:
    return render(request, "polls/question.html", {"question": get_object_or_404(published(), pk=number)})


@require_POST
def vote(request: HttpRequest, number: int) -> HttpResponse:
    question = get_object_or_404(published(), pk=number)
    picked = request.POST.get("choice", "")
    # The database adds the vote: two at the same moment are two votes.
    votes = Choice.objects.filter(question=question, pk=picked) if picked.isdecimal() else Choice.objects.none()
    if not votes.update(votes=F("votes") + 1):
        problem = "Please pick one of these."
        return render(request, "polls/question.html", {"question": question, "problem": problem}, status=422)
    return redirect("results", number=question.pk)


@require_safe
def results(request: HttpRequest, number: int) -> HttpResponse:
    return render(request, "polls/results.html", {"question": get_object_or_404(published(), pk=number)})
