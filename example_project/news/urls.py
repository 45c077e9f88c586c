"""The URLs of the feed."""

from django.urls import path

from . import views

app_name = "news"
urlpatterns = [
    path("", views.feed, name="feed"),
    path("announce/", views.announce, name="announce"),
]
