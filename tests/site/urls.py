"""HTTP for the servers of the tests."""

import asyncio
from collections.abc import AsyncIterator

from django.contrib.auth import get_user_model, login, logout
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import include, path

from django_fastws import Room, disconnect
from django_fastws.limits import statistics
from django_fastws.views import publish
from tests.site.identity import change


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


def log_in(request: HttpRequest) -> HttpResponse:
    """Log a user in, who is made if there is none of that name."""
    user, _ = get_user_model().objects.get_or_create(username=request.GET["name"])
    login(request, user, "django.contrib.auth.backends.ModelBackend")
    return HttpResponse(user.pk)


def log_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("done")


def kick(request: HttpRequest) -> HttpResponse:
    """Close a user's sockets."""
    disconnect(user=request.GET["pk"], code=int(request.GET.get("code", 4404)), reason="kicked")
    return HttpResponse("done")


def numbers(request: HttpRequest) -> HttpResponse:
    """What this process has counted."""
    told = statistics()
    return JsonResponse(
        {
            "connections": told.connections,
            "users": told.users,
            "denied": dict(told.denied),
            "closed": dict(told.closed),
        }
    )


async def events(request: HttpRequest) -> StreamingHttpResponse:
    """Server-sent events without end."""

    async def tick() -> AsyncIterator[str]:
        try:
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0.05)
        finally:
            print("the events have ended", flush=True)

    return StreamingHttpResponse(tick(), content_type=request.GET.get("type", "text/event-stream"))


urlpatterns = [
    path("", include("tests.site.browser")),
    path("events/", events),
    path("login/", log_in),
    path("logout/", log_out),
    path("kick/", kick),
    path("change/", change),
    path("statistics/", numbers),
    path("hello/", hello, name="hello"),
    path("realtime/publish", publish),
    path("broadcast/", broadcast),
    path("abroadcast/", abroadcast),
]
