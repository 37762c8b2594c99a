from django.urls import path

from . import views

urlpatterns = [
    path("", views.index, name="index"),
    path("<int:number>/", views.question, name="question"),
    path("<int:number>/vote/", views.vote, name="vote"),
    path("<int:number>/results/", views.results, name="results"),
]
