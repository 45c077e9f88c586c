"""Control messages: which sockets every process has to close. ``users/registry.py`` carries them out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .envelope import CONTROL, Envelope

__all__ = ["GROUP", "CloseRequest", "decode", "encode", "is_close_request"]

#: The group of the layer that control messages are published to. No room's name becomes this.
GROUP = "fastws.c.users"

_MOST = 500  # users of one message
_LONGEST = 4096  # characters that name a user or a session, which are kept: more than databases have in an index


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """Request to close the sockets of a user, or those of one session.

    Attributes:
        user: the ``user_key``; "" for the sockets of a session, whoever its user is.
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


def encode(requests: Iterable[CloseRequest]) -> list[tuple[Envelope, list[CloseRequest]]]:
    """Batch close requests into as few envelopes as possible, each with its requests; duplicates are left out."""
    groups: dict[tuple[int, str, float], list[CloseRequest]] = {}
    for request in dict.fromkeys(requests):
        groups.setdefault((request.code, request.reason, request.delay), []).append(request)
    batches = [group[at : at + _MOST] for group in groups.values() for at in range(0, len(group), _MOST)]
    return [(Envelope.control(GROUP, _fields(batch)), batch) for batch in batches]


def _fields(batch: list[CloseRequest]) -> dict[str, str | bytes]:
    first = batch[0]
    fields: dict[str, str | bytes] = {"do": "disconnect", "code": str(int(first.code)), "reason": first.reason}
    if first.delay:
        fields["delay"] = str(first.delay)
    if len(batch) > 1:
        fields["users"] = json.dumps([[one.user, one.session, int(one.others)] for one in batch])
        return fields
    fields["user"] = first.user
    if first.session:
        fields["session"] = first.session
        if first.others:
            fields["others"] = "1"
    return fields


def is_close_request(envelope: Envelope) -> bool:
    """Whether an envelope holds requests of this kind; another release may have others."""
    return envelope.kind == CONTROL and envelope.fields.get("do") == "disconnect"


def decode(envelope: Envelope) -> Iterator[CloseRequest]:
    """The requests in an envelope.

    Raises:
        KeyError, TypeError, ValueError: it makes no sense.
    """
    fields = envelope.fields
    code, reason, delay = int(fields["code"]), str(fields["reason"]), float(fields.get("delay", 0))
    if not 0 <= delay <= 60:
        raise ValueError(f"a delay of {delay} seconds")
    if "users" in fields:
        for user, session, others, *_ in json.loads(fields["users"]):  # another release may say more
            yield CloseRequest(_name(user), code, reason, _name(session), bool(others) or not session, delay)
    else:
        session = _name(fields.get("session", ""))
        yield CloseRequest(_name(fields["user"]), code, reason, session, not session or "others" in fields, delay)


def _name(value: object) -> str:
    name = str(value)
    if len(name) > _LONGEST:
        raise ValueError(f"a user or session of {len(name)} characters")
    return name
