"""Views that tell who serves them, and of which client."""

import asyncio
import os
from collections.abc import AsyncIterator

from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

waiting: list[asyncio.Event] = []
poured = [0]


def where(request: HttpRequest) -> JsonResponse:
    """Who and what the request came to."""
    return JsonResponse(
        {
            "pid": os.getpid(),
            "client": request.META["REMOTE_ADDR"],
            "scheme": request.scheme,
            "host": request.get_host(),
            "bytes": len(request.body),
        }
    )


def unavailable(request: HttpRequest) -> HttpResponse:
    """A view that answers 503, of its own accord."""
    return HttpResponse(f"{os.getpid()}", status=503)


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """The first part of an answer, the second when it is asked for, and no end."""

    async def parts() -> AsyncIterator[str]:
        waiting.append(asked := asyncio.Event())
        yield "first"
        await asked.wait()
        yield "second"
        await asyncio.Event().wait()

    return StreamingHttpResponse(parts())


async def more(request: HttpRequest) -> HttpResponse:
    """Ask for the second part of every stream of this process."""
    while waiting:
        waiting.pop().set()
    return HttpResponse()


async def flood(request: HttpRequest) -> StreamingHttpResponse:
    """An answer of 128 MiB, or as much as is taken of it."""

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(2048):
            yield bytes(65536)
            poured[0] += 65536

    return StreamingHttpResponse(parts())


async def flooded(request: HttpRequest) -> JsonResponse:
    """How many bytes were taken of such answers."""
    return JsonResponse({"bytes": poured[0]})


urlpatterns = [
    path("where", where),
    path("unavailable", unavailable),
    path("stream", stream),
    path("more", more),
    path("flood", flood),
    path("flooded", flooded),
]
