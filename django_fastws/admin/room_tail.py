"""Live tail of a room: a live room of the console's own, whose members are sent what is said in another."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from ..clock import process_clock
from ..exceptions import LiveError
from ..live import LiveRoom, LiveSocket, declare_room
from ..rooms import Room, RoomEvent

__all__ = ["EVENTS_PER_SECOND", "MOST_BYTES", "MOST_EVENTS", "MOST_SECONDS", "follow", "tail_name", "tail_room"]

#: What one tail is sent; of more, it is told how many there were.
EVENTS_PER_SECOND = 20
#: Of the JSON of one event; of a longer one, the beginning is sent.
MOST_BYTES = 4096
#: After which it ends, and has to be asked for again.
MOST_SECONDS = 600.0
MOST_EVENTS = 5000
#: Tails at a time, in one process, and of one user there.
_MOST_TAILS = 20
_MOST_TAILS_PER_USER = 5

_WAITING = 100  # events that wait to be sent
_PREFIX = "fastws-tail/"


def tail_name(room: str) -> str:
    """The name of the room in which the tail of a room is."""
    encoded = base64.urlsafe_b64encode(room.encode("utf-8", "surrogatepass")).decode().rstrip("=")
    return f"{_PREFIX}r{encoded}"


def _room_of(encoded: str) -> str:
    text = encoded[1:]
    try:
        # A name with a half of a surrogate pair could be written, but no event of such a room can be sent.
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, UnicodeError):
        raise LiveError("not_found", "that is no name of a room that can be followed") from None


def may_follow(ws: LiveSocket[Any], encoded: str) -> bool:
    """Whether a client may follow rooms: as the admin's pages, it is for active staff with the permissions."""
    user = ws.user
    if not (user.is_active and user.is_staff):
        return False
    return bool(user.has_perms(["django_fastws.view_room", "django_fastws.read_room"]))


async def follow(ws: LiveSocket[Any], encoded: str) -> AsyncIterator[dict[str, Any]]:
    """What is said in the room from now on, within the bounds of this module.

    Items are ``{"event", "data", "key"?, "bytes"?}``, with the beginning of the JSON as a text where ``bytes`` says
    how long all of it is; ``{"skipped": n}``; and at the end ``{"over": reason}``.
    """
    ends, sent = process_clock.monotonic() + MOST_SECONDS, 0
    pace = _Pace()
    async with Room(_room_of(encoded)).listen(limit=_WAITING) as events:
        yield {"following": True}
        lost = 0
        while sent < MOST_EVENTS:
            wait = min(ends - process_clock.monotonic(), 1.0 if pace.skipped else MOST_SECONDS)
            if wait <= 0:
                break
            try:
                event = await asyncio.wait_for(anext(events), wait)
            except TimeoutError:
                event = None
            except StopAsyncIteration:
                break
            pace.skipped += events.dropped - lost
            lost = events.dropped
            if event is not None and pace.is_over():
                pace.skipped += 1
                continue
            if pace.skipped:
                skipped, pace.skipped = pace.skipped, 0
                yield {"skipped": skipped}
            if event is not None:
                sent += 1
                yield _item(event)
    yield {"over": "time" if sent < MOST_EVENTS else "events"}


class _Pace:
    """Pace of a tail: so many events in each second, and a count of the others."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0
        self.skipped = 0

    def is_over(self) -> bool:
        """Whether one more is too many now; else it is counted."""
        second = int(process_clock.monotonic())
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        return self._count > EVENTS_PER_SECOND


def _item(event: RoomEvent) -> dict[str, Any]:
    item: dict[str, Any] = {"event": event.event}
    if event.key is not None:
        item["key"] = event.key
        if event.removed:
            return {**item, "removed": True}
    text = event.raw[:MOST_BYTES].decode("utf-8", "ignore")
    item["data"] = text
    if len(event.raw) > MOST_BYTES:
        item["bytes"] = len(event.raw)
    return item


@cache
def tail_room() -> LiveRoom:
    """The declaration, made once."""
    room = declare_room(
        f"{_PREFIX}{{encoded}}",
        name=None,
        history=None,
        latest=None,
        presence=False,
        sends=(),
        tags=(),
        login_required=True,
        permission=may_follow,
        rate="2/s burst 5",
        limits={"max_connections": _MOST_TAILS, "max_connections_per_user": _MOST_TAILS_PER_USER},
    )
    room.on("follow")(follow)
    return room
