"""The URLs of the desk."""

from django.urls import path

from . import views

app_name = "desk"
urlpatterns = [
    path("", views.tickets, name="tickets"),
    path("open/", views.open_ticket, name="open"),
    path("<int:pk>/", views.ticket, name="ticket"),
]
