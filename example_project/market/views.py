"""The page with the prices."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from django_fastws.routing import reverse_ws

from .consumers import market


def prices(request: HttpRequest) -> HttpResponse:
    """An empty table, which the socket fills."""
    return render(request, "market/prices.html", {"socket": reverse_ws(market)})
