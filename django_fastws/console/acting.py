"""Actions of the console: closing, kicking, draining and restarting, wherever it is, with what was really done.

Who may publish to the channel layer may do this; whether a person may is decided before these are called. Each
function may be awaited in any event loop.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ..exceptions import check_close
from ..processes import ask_processes
from ..user_keys import key_of
from .asked import checked_ids
from .page_answers import Answers
from .process_topics import DRAIN_TOPIC
from .room_topics import KICK_TOPIC
from .route_topics import RESTART_TOPIC
from .rows import ActionResult
from .socket_topics import CLOSE_TOPIC

__all__ = ["close_sockets", "drain_process", "kick", "restart_route"]


async def close_sockets(
    ids: Iterable[str], *, code: int = 1008, reason: str = "", seconds: float = 1.0
) -> ActionResult:
    """Close sockets, by their ids, in whatever process they are.

    ``done`` counts those whose close was begun; each is over within a second, whether its client answers or not.

    Args:
        ids: at most 10,000.
        code, reason: as ``WebSocket.close`` takes them.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        TypeError, ValueError: one of these cannot be.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    asked = {"ids": checked_ids(ids), **_status(code, reason)}
    return Answers(await ask_processes(CLOSE_TOPIC, asked, seconds=seconds)).result()


async def kick(
    room: str,
    *,
    ids: Iterable[str] = (),
    user: Any = None,
    code: int = 4403,
    reason: str = "",
    seconds: float = 1.0,
) -> ActionResult:
    """Remove members from a room: sockets by their ids, or all of a user; live clients are told, raw sockets closed.

    ``done`` counts the memberships that were ended.

    Args:
        room: its name.
        ids: of sockets, at most 10,000.
        user: instead of ids: a user, a primary key, or a user's key such as "auth.user:7".
        code, reason: as ``WebSocket.close`` takes them.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        TypeError, ValueError: one of these cannot be, or neither ids nor a user is given.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    wanted, key = checked_ids(ids), "" if user is None else _key_of(user)
    if not (wanted or key) or (wanted and key):
        raise TypeError("kick() takes the ids of sockets, or a user")
    asked = {"room": _text("room", room), "ids": wanted, "user": key, **_status(code, reason)}
    return Answers(await ask_processes(KICK_TOPIC, asked, seconds=seconds)).result()


async def drain_process(name: str, *, seconds: float = 1.0) -> ActionResult:
    """Begin the graceful shutdown of a ``runws_server`` process, as SIGTERM does.

    ``done`` is 1 if it has begun, or was under way; ``errors`` says of another server that it cannot.

    Args:
        name: of the process, as ``ProcessRow.name``.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        ValueError: one of these cannot be.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    asked = {"process": _text("name", name)}
    return _of_one(name, Answers(await ask_processes(DRAIN_TOPIC, asked, seconds=seconds)).result())


async def restart_route(process: str, route: str, *, seconds: float = 1.0) -> ActionResult:
    """Restart an outbound route: its connection is closed with 1001, and it connects anew, also if it had ended.

    ``done`` is 1 if that has begun.

    Args:
        process, route: as ``RouteRow`` has them.
        seconds: the deadline, above 0, and at most 60.
    Raises:
        ValueError: one of these cannot be.
        WebSocketConnectionError: the channel layer cannot be reached in time.
    """
    asked = {"process": _text("process", process), "route": _text("route", route)}
    return _of_one(process, Answers(await ask_processes(RESTART_TOPIC, asked, seconds=seconds)).result())


def _of_one(process: str, result: ActionResult) -> ActionResult:
    """The result of what one process was meant to do: what others could not does not count."""
    errors = {name: error for name, error in result.errors.items() if name == process}
    if not (result.done or errors or result.missing):
        errors = {process: "no such process serves here any more"}
    return replace(result, errors=errors)


def _status(code: int, reason: str) -> dict[str, Any]:
    check_close(code, reason)
    return {"code": int(code), "reason": reason}


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}={value!r}: a text is needed")
    return value


def _key_of(user: Any) -> str:
    return user if isinstance(user, str) and ":" in user else key_of(user, "kick")
