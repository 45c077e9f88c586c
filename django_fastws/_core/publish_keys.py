"""Keys of HTTP publish: their secrets, and the rooms that each may publish to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["PublishKey", "allows", "read_publish_keys"]

#: What a header has as it is, whatever is in front of the server, and that is not two headers that were joined.
_ID = re.compile(r"[!-+\--~]{1,128}")
_FIELDS = ("secret", "rooms")


class PublishKey(NamedTuple):
    """Key of HTTP publish.

    Attributes:
        id: by which a request names it.
        secrets: each of which a request may be signed with.
        rooms: patterns of the names of rooms, as ``allows()`` reads them.
    """

    id: str
    secrets: tuple[bytes, ...]
    rooms: tuple[str, ...]

    def may_publish(self, room: str) -> bool:
        """Whether the key reaches a room."""
        return any(allows(pattern, room) for pattern in self.rooms)

    def __repr__(self) -> str:
        return f"PublishKey({self.id!r}, rooms={self.rooms!r})"  # without what must not be in a log


def allows(pattern: str, room: str) -> bool:
    """Whether a pattern matches the whole name of a room.

    ``*`` is any text, also none, and slashes like any other character; all else stands for itself.

    >>> allows("orders/*", "orders/5"), allows("orders/*", "orders/5/items"), allows("orders/*", "orders")
    (True, True, False)
    """
    first, *rest = pattern.split("*")
    if not rest:
        return room == first
    *middle, last = rest
    at, end = len(first), len(room) - len(last)
    if end < at or not (room.startswith(first) and room.endswith(last)):
        return False
    for part in middle:
        if (found := room.find(part, at, end)) < 0:
            return False
        at = found + len(part)
    return True


def read_publish_keys(value: Any) -> Mapping[str, PublishKey]:
    """Read the setting: ``{"shop": {"secret": "…", "rooms": ["orders/*"]}}``.

    Raises:
        ValueError: it is wrong; the text has the place, and no secret.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"it is a {type(value).__name__}")
    return {id_: _read_key(id_, about) for id_, about in value.items()}


def _read_key(id_: Any, about: Any) -> PublishKey:
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise ValueError(f"{id_!r} is no id, which is 1 to 128 printable ASCII characters without spaces and commas")
    if not isinstance(about, Mapping):
        raise ValueError(f"[{id_!r}] is no dict with 'secret' and 'rooms'")
    if unknown := [field for field in about if field not in _FIELDS]:
        raise ValueError(f"[{id_!r}] has {unknown[0]!r}, and a key has 'secret' and 'rooms'")
    if "secret" not in about:
        raise ValueError(f"[{id_!r}] has no 'secret'")
    secret = about["secret"]
    secrets = secret if isinstance(secret, (list, tuple)) else (secret,)
    if not secrets:
        raise ValueError(f"[{id_!r}]['secret'] is an empty list")
    rooms = about.get("rooms", ())
    if not isinstance(rooms, (list, tuple, set, frozenset)) or not all(isinstance(one, str) for one in rooms):
        raise ValueError(f"[{id_!r}]['rooms'] is no list of names of rooms, with * for any text")
    return PublishKey(id_, tuple(_read_secrets(id_, secrets)), tuple(rooms))


def _read_secrets(id_: str, secrets: Iterable[Any]) -> Iterable[bytes]:
    for secret in secrets:
        if not isinstance(secret, (str, bytes)):
            raise ValueError(f"[{id_!r}]['secret'] is neither a str nor bytes, nor a list of these")
        if not secret:
            raise ValueError(f"[{id_!r}]['secret'] is empty")
        try:
            yield secret.encode() if isinstance(secret, str) else secret
        except UnicodeEncodeError:
            raise ValueError(f"[{id_!r}]['secret'] has half of a surrogate pair, which has no UTF-8") from None
