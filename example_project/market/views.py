"""The page with the prices."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from .consumers import market


def prices(request: HttpRequest) -> HttpResponse:
    """An empty table, which the room fills."""
    return render(request, "market/prices.html", {"live_room": market().name})
