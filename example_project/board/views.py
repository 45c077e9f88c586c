"""The page with the board."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ..people import welcome
from . import consumers
from .models import MAX_TEXT


def board(request: HttpRequest) -> HttpResponse:
    """An empty board, which the state of the room fills."""
    context = {"person": welcome(request), "live_room": consumers.board().name, "max_text": MAX_TEXT}
    return render(request, "board/board.html", context)
