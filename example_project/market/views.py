"""The page with the prices."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ..people import welcome
from .consumers import market


def prices(request: HttpRequest) -> HttpResponse:
    """An empty list, which the room fills."""
    return render(request, "market/prices.html", {"person": welcome(request), "live_room": market().name})
