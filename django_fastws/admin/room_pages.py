"""Pages of one room: what its history keeps, and the live tail of what is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch

from ..exceptions import HistoryUnavailable, WebSocketConnectionError
from ..rooms import Room, Stored
from ..routing import registry, reverse_ws
from .console_text import moment, name_text, pretty
from .object_keys import name_of

if TYPE_CHECKING:
    from .room_admin import RoomAdmin

__all__ = ["events_page", "tail_page"]

_PER_PAGE = 50
_LIVE_ROUTE = "fastws-live"  # live.LIVE_ROUTE, which takes what live rooms need


def events_page(admin: RoomAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """The events that the history of a room keeps, the newest first, page by page."""
    name = name_of(key)
    before = request.GET.get("before", "")
    note: dict[str, Any] | None = None
    events: list[Stored] = []
    try:
        events = Room(name).history(_PER_PAGE, before=before or None)
    except HistoryUnavailable as error:
        note = {"level": "warning", "text": str(error), "more": []}
    except ValueError as error:
        note = {"level": "warning", "text": str(error), "more": []}
    except WebSocketConnectionError as error:
        note = {
            "level": "error",
            "text": f"The history cannot be read: {error}",
            "more": ["See that the servers of CHANNEL_LAYERS run: manage.py ws_doctor says what is wrong."],
        }
    events.reverse()
    here = admin.object_url(key, "events")
    context = {
        "key": key,
        "note": note,
        "object_url": admin.object_url(key),
        "events": [
            {
                "position": str(one.position),
                "at": moment(one.at.timestamp()),
                "event": name_text(one.event, 60),
                "data": pretty(one.data if not isinstance(one.data, bytes) else repr(one.data)),
            }
            for one in events
        ],
        "older_url": f"{here}?before={events[-1].position}" if len(events) == _PER_PAGE else "",
        "newest_url": here if before else "",
        "empty": "There are no older events." if before else "The history keeps nothing.",
    }
    return admin.page(request, "events", "Stored events", context, subtitle=name_text(name, 200))


def tail_page(admin: RoomAdmin, request: HttpRequest, key: str) -> HttpResponse:
    """The page whose script joins the live room of the tail, and writes what comes."""
    name = name_of(key)
    live_path, room = _live_path(), ""
    if live_path:
        from .room_tail import tail_name  # with pydantic, as all that is live

        room = tail_name(name)
    context = {
        "key": key,
        "object_url": admin.object_url(key),
        "live_path": live_path,
        "tail_room": room,
        "note": None
        if live_path
        else {
            "level": "warning",
            "text": "There is no live tail here: the page needs a live socket, and this project serves none.",
            "more": ["Declare a live room, and let FASTWS_LIVE_PATH be a path; then there is one of every room."],
        },
    }
    return admin.page(request, "tail", "Live tail", context, subtitle=name_text(name, 200))


def _live_path() -> str:
    if not registry.rooms:
        return ""
    try:
        return reverse_ws(_LIVE_ROUTE)
    except NoReverseMatch:
        return ""
