"""The URL of the page."""

from django.urls import path

from . import views

app_name = "market"
urlpatterns = [path("", views.prices, name="prices")]
