"""HTTP for the servers of the tests."""

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path

from django_fastws import Room


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


def broadcast(request: HttpRequest) -> HttpResponse:
    """A sync view that broadcasts, inside a transaction."""
    with transaction.atomic():
        Room(request.GET["room"]).broadcast(request.GET["text"])
    return HttpResponse("done")


async def abroadcast(request: HttpRequest) -> HttpResponse:
    """An async view that broadcasts."""
    await Room(request.GET["room"]).abroadcast(request.GET["text"])
    return HttpResponse("done")


urlpatterns = [
    path("hello/", hello),
    path("broadcast/", broadcast),
    path("abroadcast/", abroadcast),
]
