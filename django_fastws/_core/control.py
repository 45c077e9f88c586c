"""Control messages: which sockets every process has to close, as they cross the layer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Ending", "decode", "encode", "is_control"]

_TYPE = "fastws.control"
_VERSION = "1"
_MOST = 500  # users of one message
_LONGEST = 4096  # characters that name a user or a session, which are kept: more than databases have in an index


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a user's sockets, or of those of one session.

    Attributes:
        user: the ``user_key``.
        code, reason: of the close frame.
        session: the ``session_hash`` of a session that has ended, with which nobody comes back; "" for none.
        others: whether the user's other sockets are closed, too. Without a session, all are.
        delay: seconds to wait before they are closed.
    """

    user: str
    code: int
    reason: str
    session: str = ""
    others: bool = True
    delay: float = 0.0


def encode(endings: Iterable[Ending]) -> list[tuple[dict[str, str | bytes], list[Ending]]]:
    """As few messages as say it, each with the endings that it tells of; what is said twice is said once."""
    groups: dict[tuple[int, str, float], list[Ending]] = {}
    for ending in dict.fromkeys(endings):
        groups.setdefault((ending.code, ending.reason, ending.delay), []).append(ending)
    parts = [group[at : at + _MOST] for group in groups.values() for at in range(0, len(group), _MOST)]
    return [(_message(part), part) for part in parts]


def _message(endings: list[Ending]) -> dict[str, str | bytes]:
    first = endings[0]
    message: dict[str, str | bytes] = {"type": _TYPE, "v": _VERSION, "do": "disconnect"}
    message |= {"code": str(int(first.code)), "reason": first.reason}
    if first.delay:
        message["delay"] = str(first.delay)
    if len(endings) > 1:
        message["users"] = json.dumps([[one.user, one.session, int(one.others)] for one in endings])
        return message
    message["user"] = first.user
    if first.session:
        message["session"] = first.session
        if first.others:
            message["others"] = "1"
    return message


def is_control(message: Mapping[str, Any]) -> bool:
    """Whether a message is one of these, of a release that is understood here."""
    return (message.get("type"), message.get("v"), message.get("do")) == (_TYPE, _VERSION, "disconnect")


def decode(message: Mapping[str, Any]) -> Iterator[Ending]:
    """The endings that a message tells of.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    code, reason, delay = int(message["code"]), str(message["reason"]), float(message.get("delay", 0))
    if not 0 <= delay <= 60:
        raise ValueError(f"a delay of {delay} seconds")
    if "users" in message:
        for user, session, others in json.loads(message["users"]):
            yield Ending(_name(user), code, reason, _name(session), bool(others) or not session, delay)
    else:
        session = _name(message.get("session", ""))
        yield Ending(_name(message["user"]), code, reason, session, not session or "others" in message, delay)


def _name(value: object) -> str:
    name = str(value)
    if len(name) > _LONGEST:
        raise ValueError(f"a user or session of {len(name)} characters")
    return name
