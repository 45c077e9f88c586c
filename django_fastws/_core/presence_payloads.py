"""Presence as live members of a room get it, and as it stands in the answer of a join."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .json import dumps
from .messages import Payload
from .presence_reports import PresentKey

__all__ = ["PresencePayload", "count_part", "diff_part", "present_part"]


class PresencePayload(Payload):
    """What has changed of who is present: ``{"room":…,`` and one of the parts below.

    Args:
        room: the room's name, as JSON.
        part: what is said.
        v: the number of the newest diff that it has.

    Attributes:
        v: see above.
    """

    __slots__ = ("room", "v")

    comes_again = True  # from what the process knows of the room

    def __init__(self, room: bytes, part: bytes, v: int) -> None:
        super().__init__(b'{"room":%b,%b}' % (room, part), is_text=True)
        self.room = room
        self.v = v


def present_part(keys: Mapping[str, PresentKey], v: int) -> bytes:
    """All who are present: ``"present":{…},"v":…``."""
    return b'"present":%b,"v":%d' % (_people(keys.items()), v)


def diff_part(
    joined: Mapping[str, PresentKey], left: Iterable[str], changed: Mapping[str, PresentKey], v: int
) -> bytes:
    """What has changed: ``"presence":{"joined":{…},"left":[…],"changed":{…}},"v":…``."""
    parts = (_people(joined.items()), b",".join(map(dumps, left)), _people(changed.items()), v)
    return b'"presence":{"joined":%b,"left":[%b],"changed":%b},"v":%d' % parts


def count_part(total: int) -> bytes:
    """How many are present: ``"count":…``."""
    return b'"count":%d' % total


def _people(people: Iterable[tuple[str, PresentKey]]) -> bytes:
    parts = [b'%b:{"meta":%b,"connections":%d}' % (dumps(key), one.meta, one.connections) for key, one in people]
    return b"{%b}" % b",".join(parts)
