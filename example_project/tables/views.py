"""The page with the plan and the form."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from ..people import welcome
from .consumers import tables
from .models import SEATS, TIMES


def plan(request: HttpRequest) -> HttpResponse:
    """An empty plan, which the state of the room fills, and the form, whose submit is a call."""
    context = {"live_room": tables().name, "person": welcome(request), "times": TIMES, "seats": SEATS}
    return render(request, "tables/plan.html", context)
