"""Fields of log records: what ``extra=`` says of the connection, the route, the user, the room and the call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._core.connection_state import ConnectionState
from ._core.outbound_urls import mask_url
from .masking import mask_path
from .types import Scope
from .user_keys import presence_key

__all__ = ["FIELDS", "connection_fields", "keep_state", "outbound_fields"]

_STATE_KEY = "django_fastws.state"  # of an ASGI scope

#: Every field, and what it is. No record has an attribute of that name by itself.
FIELDS = {
    "connection_id": "`ws.id` of the connection: unique in the cluster, the same in every record of one connection",
    "route": 'the path of the route as it is declared, such as `"/ws/chat/{room}"`; of a route that goes out its key',
    "path": "the path that was asked for, with secrets masked",
    "address": "the address of the client, behind proxies if the server knows of them",
    "user": "the primary key of the user, as a str; `None` where nobody is logged in, or nobody has looked yet",
    "code": "the close code, the HTTP status of a denial, or the code of the error of a call",
    "reason": "of a denial or a close by a limit or a rule: its name, as the metrics have it",
    "count": "how many of this kind there were since it was last said, this one among them",
    "room": 'the pattern of the room, such as `"tickets/{pk:int}"`; `""` for one that is not declared',
    "event": 'the event of a call; `""` for a join and for a leave',
    "seconds": "how long something has taken",
    "place": "file and line of the code that blocks the event loop",
    "url": "the URL of a connection that goes out, with secrets masked",
    "loop": "the event loop on which `runws_server` serves",
    "attempt": "0 for the first connection of a route that goes out, else the number of the attempt in a row",
}


def keep_state(scope: Scope, state: ConnectionState, outer: ConnectionState | None = None) -> None:
    """Keep the state of a connection in its scope, where ``connection_fields()`` finds it.

    Args:
        outer: of a transport that has the same connection, outside of middleware.
    """
    if outer is not None:
        state.id = outer.made_id()
    scope[_STATE_KEY] = state


def connection_fields(scope: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Fields of a record about a connection that came in, for ``extra=``.

    Args:
        scope: of the connection.
        more: further fields.
    """
    state = scope.get(_STATE_KEY)
    client = scope.get("client")
    return {
        "connection_id": None if state is None else state.made_id(),
        "route": "" if state is None else state.route,
        "path": mask_path(scope.get("path") or ""),
        "address": str(client[0]) if client else None,
        "user": _user(scope),
        **more,
    }


def outbound_fields(route: str, url: str, state: ConnectionState | None = None, **more: Any) -> dict[str, Any]:
    """Fields of a record about a route that goes out, for ``extra=``.

    Args:
        route: its key.
        url: as it is declared, or connected to; secrets in it are masked.
        state: of the connection, if there is one.
        more: further fields.
    """
    fields = {"route": route, "url": mask_url(url), **more}
    return fields if state is None else {"connection_id": state.made_id(), **fields}


def _user(scope: Mapping[str, Any]) -> str | None:
    try:
        return presence_key(scope.get("user"))
    except Exception:  # it is loaded when it is asked for, and that is not possible now
        return None
