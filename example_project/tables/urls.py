"""The URL of the page."""

from django.urls import path

from . import views

app_name = "tables"
urlpatterns = [path("", views.plan, name="plan")]
