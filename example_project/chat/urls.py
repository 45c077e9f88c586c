"""The URLs of the chat. A room's name may hold slashes."""

from django.urls import path

from . import views

app_name = "chat"
urlpatterns = [
    path("", views.lobby, name="lobby"),
    path("<path:room>/", views.room, name="room"),
]
