"""The pages of the chat."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from ..people import GUEST, MAX_NAME, welcome
from .consumers import MAX_TEXT, chat
from .forms import MAX_ROOM, RoomForm

SUGGESTED = {
    "Lobby": "Say hello",
    "Kaffee & Küche": "Recipes, and what to do with them",
    "日本語": "にほんごで話しましょう",
    "مقهى": "أهلاً وسهلاً",
    "help/first steps": "Questions welcome",
    "100 % off-topic": "Anything else",
}


def lobby(request: HttpRequest) -> HttpResponse:
    """The list of rooms. A room's name in the query string leads there."""
    form = RoomForm(request.GET if "room" in request.GET else None)
    if form.is_valid():
        return redirect("chat:room", room=form.cleaned_data["room"])
    return _lobby(request, form)


def room(request: HttpRequest, room: str) -> HttpResponse:
    """One room."""
    form = RoomForm({"room": room})
    if not form.is_valid():
        return _lobby(request, form, status=404)
    if form.cleaned_data["room"] != room:
        return redirect("chat:room", room=form.cleaned_data["room"])
    context = {
        "room": room,
        "live_room": chat(name=room).name,
        "person": welcome(request),
        "is_named": request.user.is_authenticated or "name" in request.session[GUEST],
        "max_name": MAX_NAME,
        "max_text": MAX_TEXT,
        "can_rename": not request.user.is_authenticated,
    }
    return render(request, "chat/room.html", context)


def _lobby(request: HttpRequest, form: RoomForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "suggested": SUGGESTED, "max_room": MAX_ROOM}
    return render(request, "chat/lobby.html", context, status=status)
