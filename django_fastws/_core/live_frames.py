"""Frames of the protocol ``fastws.v1``: what a client says, parsed and checked, and what is answered, built.

Each is one JSON object in a text message. A frame that is none becomes a ``BadFrame``, which has the id of the frame
wherever that could be read, so that it is answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

import orjson

from .error_codes import is_retried
from .json import LONG_TEXT, MOST_KEY, has_long_key
from .positions import Position

__all__ = [
    "PING",
    "SUBPROTOCOL",
    "AnswerFrame",
    "BadFrame",
    "CallFrame",
    "CancelFrame",
    "Frame",
    "HelloFrame",
    "Id",
    "JoinFrame",
    "LeaveFrame",
    "answer",
    "ask",
    "emitted",
    "error",
    "item",
    "joined",
    "left",
    "lost",
    "parse",
    "resumed",
]

#: Of the WebSocket, where the client offers it.
SUBPROTOCOL = "fastws.v1.json"
#: The server has said nothing for a while.
PING = b'{"ping":1}'

Id = int | str

_MOST_ID, _MOST_NAME, _MOST_TOKEN = 64, 512, 16 * 1024  # characters
# Levels of a frame, which is read down to 1024 of them; a shorter text has not so many.
_MOST_LEVELS = 200
_SHORT = 2 * _MOST_LEVELS


def _written_levels() -> int:
    """How many levels orjson writes: 254 or 255, by its version."""
    levels: list[Any] = []
    for _ in range(254):
        levels = [levels]
    try:
        orjson.dumps(levels)
    except TypeError:
        return 254
    return 255


_WRITTEN_LEVELS = _written_levels()


class CallFrame(NamedTuple):
    """An event of a client in a room; with an id, it is a call that is answered."""

    id: Id | None
    room: str
    event: str
    data: Any
    once: bool


class JoinFrame(NamedTuple):
    """A join; ``since`` and ``v`` are what the client has had of the room's history and presence."""

    id: Id
    room: str
    since: str | None
    v: int | None


class LeaveFrame(NamedTuple):
    """Leave: the client ends its membership in a room."""

    id: Id
    room: str


class HelloFrame(NamedTuple):
    """The client's own id, which survives a reconnect, and the token of its user; None for neither."""

    id: Id
    client: str | None
    token: str | None


class CancelFrame(NamedTuple):
    """Cancellation of a call, whose answer the client does not want any more."""

    id: Id


class AnswerFrame(NamedTuple):
    """The answer to an ``ask``: a value, or the error of the other side."""

    ask: int
    value: Any
    error: Mapping[str, Any] | None


class BadFrame(NamedTuple):
    """Error that answers what is no frame of the protocol, with the id if it has one."""

    id: Id | None
    code: str
    message: str


Frame = CallFrame | JoinFrame | LeaveFrame | HelloFrame | CancelFrame | AnswerFrame | BadFrame


def parse(data: str | bytes, max_bytes: int) -> Frame:
    """Parse and check one message of a client. Keys that are not known are ignored. Never raises.

    Of a frame that could be several, the first of these counts: an event, join, leave, cancel, answer, hello.

    Args:
        data: a text message, or a binary one, which is no frame.
        max_bytes: of a frame; a longer one is ``too_big``.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError:
        frame = None
    if type(frame) is not dict or type(data) is not str:
        return _no_frame(data, max_bytes)
    id_ = frame.get("id")
    if id_ is not None and type(id_) is not int and (type(id_) is not str or len(id_) > _MOST_ID):
        return BadFrame(None, "bad_request", f"an id is an integer, or a string of at most {_MOST_ID} characters")
    if len(data) * 4 > max_bytes and _size(data) > max_bytes:
        return BadFrame(id_, "too_big", f"a frame has at most {max_bytes} bytes")
    if len(data) > _SHORT and _is_too_deep(data, frame):
        return BadFrame(id_, "bad_request", f"a frame is nested at most {_MOST_LEVELS} levels deep")
    if len(data) > LONG_TEXT and has_long_key(frame):
        return BadFrame(
            id_, "bad_request", f"a key in a frame of over {LONG_TEXT} bytes has at most {MOST_KEY} characters"
        )
    event = frame.get("event")
    if event is None:
        return _other(frame, id_)
    room = frame.get("room")
    if type(room) is not str or type(event) is not str or len(room) > _MOST_NAME or len(event) > _MOST_NAME:
        return BadFrame(id_, "bad_request", f'an event has "room" and "event", {_NAMES}')
    # Past the function that a named tuple has for this, for most frames are events.
    return tuple.__new__(CallFrame, (id_, room, event, frame.get("data", _NO_DATA), frame.get("once") is True))


_NO_DATA: Mapping[str, Any] = {}
_NAMES = f"strings of at most {_MOST_NAME} characters"


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _is_too_deep(data: str, frame: Any) -> bool:
    """Whether a frame is nested so deep that its parts could not be written as JSON again, within an answer."""
    if data.count("[") + data.count("{") <= _MOST_LEVELS:
        return False
    for _ in range(_WRITTEN_LEVELS - _MOST_LEVELS):
        frame = [frame]
    try:
        orjson.dumps(frame, default=lambda _: None)
    except TypeError as error:
        return "ecursion" in str(error)
    return False


def _no_frame(data: str | bytes, max_bytes: int) -> BadFrame:
    if type(data) is not str:
        return BadFrame(None, "bad_request", "a frame is a text message, and this one is binary")
    if _size(data) > max_bytes:
        return BadFrame(None, "too_big", f"a frame has at most {max_bytes} bytes")
    frame = _lenient(data)
    if frame is None:
        return BadFrame(None, "bad_request", "a frame is a JSON object")
    message = "a frame has text that is Unicode, numbers that are finite, and few levels"
    return BadFrame(_id_of(frame), "bad_request", message)


def _lenient(data: str) -> dict[str, Any] | None:
    """A frame of JSON that orjson does not take; None for what is no JSON object.

    So half of a surrogate pair, which a page makes that cuts a text within an emoji, is answered by its id.
    """
    try:
        frame = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return frame if type(frame) is dict else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _id_of(frame: dict[str, Any]) -> Id | None:
    """The id of such a frame; None for what is none, or could not be written again."""
    id_ = frame.get("id")
    if type(id_) is int:
        return id_ if -(2**63) <= id_ < 2**64 else None
    if type(id_) is not str or len(id_) > _MOST_ID or any("\ud800" <= one <= "\udfff" for one in id_):
        return None
    return id_


def _other(frame: dict[str, Any], id_: Id | None) -> Frame:
    """A frame that is no event."""
    for kind, read in _READERS.items():
        if kind in frame:
            return read(frame, id_)
    return BadFrame(id_, "bad_request", f'a frame has one of "event", {_KINDS}')


def _join(frame: dict[str, Any], id_: Id | None) -> Frame:
    room, since, v = frame["join"], frame.get("since"), frame.get("v")
    if problem := _named_problem(room, id_, "join"):
        return BadFrame(id_, "bad_request", problem)
    # What cannot be a position or a version is one that nobody knows: the client gets all that there is.
    return JoinFrame(id_, room, since if type(since) is str else None, v if type(v) is int else None)  # type: ignore[arg-type]


def _leave(frame: dict[str, Any], id_: Id | None) -> Frame:
    if problem := _named_problem(frame["leave"], id_, "leave"):
        return BadFrame(id_, "bad_request", problem)
    return LeaveFrame(id_, frame["leave"])  # type: ignore[arg-type]


def _named_problem(room: Any, id_: Id | None, kind: str) -> str:
    if type(room) is not str or len(room) > _MOST_NAME:
        return f'"{kind}" is the name of a room, a string of at most {_MOST_NAME} characters'
    return "" if id_ is not None else f'"{kind}" has an "id", by which it is answered'


def _cancel(frame: dict[str, Any], id_: Id | None) -> Frame:
    cancelled = frame["cancel"]
    if type(cancelled) is int or (type(cancelled) is str and len(cancelled) <= _MOST_ID):
        return CancelFrame(cancelled)
    return BadFrame(id_, "bad_request", '"cancel" is the id of a call')


def _answer(frame: dict[str, Any], id_: Id | None) -> Frame:
    number, wrong = frame["answer"], frame.get("error")
    if type(number) is not int:
        return BadFrame(id_, "bad_request", '"answer" is the number of an "ask"')
    if wrong is not None and type(wrong) is not dict:
        return BadFrame(id_, "bad_request", '"error" is an object with "code" and "message"')
    return AnswerFrame(number, frame.get("ok"), wrong)


def _hello(frame: dict[str, Any], id_: Id | None) -> Frame:
    hello = frame["hello"]
    if type(hello) is not dict or id_ is None:
        return BadFrame(id_, "bad_request", '"hello" is an object, and has an "id", by which it is answered')
    client, token = hello.get("client"), hello.get("token")
    if client is not None and (type(client) is not str or not 0 < len(client) <= _MOST_ID):
        return BadFrame(id_, "bad_request", f'"client" is a string of at most {_MOST_ID} characters')
    if token is not None and (type(token) is not str or len(token) > _MOST_TOKEN):
        return BadFrame(id_, "bad_request", f'"token" is a string of at most {_MOST_TOKEN} characters')
    return HelloFrame(id_, client, token)


_READERS = {"join": _join, "leave": _leave, "cancel": _cancel, "answer": _answer, "hello": _hello}
_KINDS = ", ".join(f'"{kind}"' for kind in _READERS)


# What the server says. Values are JSON already: they were encoded where their types are known.


def answer(id_: Id, value: bytes) -> bytes:
    """The answer of a call, join, leave or hello."""
    if type(id_) is int:
        return b'{"id":%d,"ok":%b}' % (id_, value)
    return b'{"id":' + orjson.dumps(id_) + b',"ok":' + value + b"}"


def item(id_: Id, value: bytes) -> bytes:
    """One item of a call that yields several."""
    return b'{"id":' + orjson.dumps(id_) + b',"item":' + value + b"}"


def error(
    id_: Id | None,
    code: str,
    message: str,
    fields: Mapping[str, Any] | None = None,
    retry_after: float | None = None,
) -> bytes:
    """The error that answers a frame; with id None, of one without an id that could be read."""
    about: dict[str, Any] = {"code": code, "message": message}
    if fields:
        about["fields"] = fields
    about["retry"] = is_retried(code) or retry_after is not None
    if retry_after is not None:
        about["retry_after"] = retry_after
    return orjson.dumps({"id": id_, "error": about}, option=orjson.OPT_NON_STR_KEYS)


def joined(room: str, state: bytes | None, at: Position | None = None) -> bytes:
    """The value of a join's answer: the state, if the room has one.

    Args:
        at: the position from which it is live; None in a room without history.
    """
    about = b'{"room":' + orjson.dumps(room) + _at(at) + b',"recovered":false'
    return about + (b"}" if state is None else b',"state":' + state + b"}")


def resumed(room: str, since: Position, to: Position) -> bytes:
    """The value of a join's answer, behind which come the events that were missed.

    Args:
        since: the position at which the client goes on.
        to: the position from which it is live.
    """
    return b'{"room":%b%b,"recovered":true,"to":"%b"}' % (orjson.dumps(room), _at(since), str(to).encode())


def lost(room: str, state: bytes | None, at: Position | None) -> bytes:
    """A member is told that events were lost: the state that has them, if the room has one.

    Args:
        at: as of ``joined()``.
    """
    end = b',"recovered":false}' if state is None else b',"state":' + state + b"}"
    return b'{"room":' + orjson.dumps(room) + _at(at) + end


def _at(at: Position | None) -> bytes:
    return b"" if at is None else b',"at":"%b"' % str(at).encode()


def emitted(event: str, data: bytes) -> bytes:
    """An event for one client, in no room."""
    return b'{"event":' + orjson.dumps(event) + b',"data":' + data + b"}"


def ask(number: int, event: str, data: bytes) -> bytes:
    """A question for one client, which answers with the number."""
    return b'{"ask":%d,"event":' % number + orjson.dumps(event) + b',"data":' + data + b"}"


def left(room: str, code: int, reason: str) -> bytes:
    """A member is told that it is out of a room."""
    return orjson.dumps({"room": room, "left": {"code": code, "reason": reason}})
