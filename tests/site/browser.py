"""Pages with the browser client, under a strict content security policy, and the live rooms that they join."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Annotated, Any

from annotated_types import MaxLen
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse
from django.templatetags.static import static
from django.urls import path
from django.utils.html import format_html
from django.views.static import serve

from django_fastws import Event, FastWS, History, LiveSocket, Room

app = FastWS()
#: Tells this process from its successor.
BOOT = uuid.uuid4().hex
_notes: dict[str, list[str]] = defaultdict(list)


class Noted(Event):
    """A note is on the board."""

    text: str


board = app.room("board/{name}", sends=[Noted])
desk = app.room("desk/{name}", login_required=True)
log = app.room("log/{name}", sends=[Noted], history=History(messages=50))


@board.state
async def notes(ws: LiveSocket, name: str) -> dict[str, Any]:
    """What is on the board, and by which process."""
    return {"boot": BOOT, "notes": _notes[name]}


@log.state(shared=True)
async def newest(name: str) -> dict[str, Any]:
    """By which process the state was made."""
    return {"boot": BOOT}


@board.on("note")
async def note(ws: LiveSocket, room: Room, name: str, text: Annotated[str, MaxLen(20)]) -> int:
    """Puts a note on the board."""
    _notes[name].append(text)
    await room.abroadcast(Noted(text=text))
    return len(_notes[name])


@board.on("numbers")
async def numbers(ws: LiveSocket, n: int) -> AsyncIterator[int]:
    """Counts."""
    for number in range(n):
        yield number


@board.on("colour")
async def colour(ws: LiveSocket) -> Any:
    """Asks the page back, and greets it."""
    answer = await ws.ask("colour", {"of": "sky"})
    await ws.emit("greeting", {"text": f"it is {answer}"})
    return answer


@desk.on("who")
async def who(ws: LiveSocket) -> str:
    """Says whose socket it is."""
    return str(ws.user.get_username())


async def user_of(token: str, scope: Any) -> Any:
    """FASTWS_LIVE_AUTHENTICATE: the user whose name is in the token."""
    name = token.removeprefix("token of ")
    if name == token:
        raise PermissionDenied("the token has expired")
    user, _ = await get_user_model().objects.aget_or_create(username=name)
    return user


def page(request: HttpRequest) -> HttpResponse:
    """A page that runs nothing but files of its own site."""
    html = format_html(
        '<!doctype html><html lang="en"><title>A page</title>'
        '<script type="module" src="{}" data-client="{}"></script>',
        static("site/page.js"),
        static("django_fastws/fastws.js"),
    )
    return HttpResponse(html, headers={"Content-Security-Policy": "default-src 'self'"})


def static_file(request: HttpRequest, path: str) -> HttpResponse:
    """A file as ``collectstatic`` has put it."""
    response = serve(request, path, document_root=settings.STATIC_ROOT)
    if not isinstance(response, FileResponse):
        return response  # not modified
    content = response.getvalue()  # under ASGI, Django complains of an iterator that is not async
    response.close()
    return HttpResponse(content, headers=dict(response.headers))


urlpatterns = [
    path("page/", page),
    path("static/<path:path>", static_file),
]
