"""Values of a socket, as the console shows them, goes by them, and searches them. They ask no database."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from django.utils.functional import LazyObject, empty

from ..masking import mask_path
from ..transports import InboundTransport
from ..types import Scope
from ..user_keys import user_key
from ..websocket import InboundWebSocket
from .rows import SocketSearch

__all__ = [
    "address_text",
    "check_cursor",
    "clean",
    "matcher",
    "path_of_socket",
    "user_key_of",
    "user_label",
    "value_of",
]

Socket = InboundWebSocket[Any]

_TEXTS = ("user", "address", "route")  # orders by a text; others go by a number
_LONGEST = 200  # characters of a path, or of what a user is called


def clean(text: str) -> str:
    """A text that JSON can hold: half a surrogate pair, which UTF-8 has not, is a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def path_of_socket(scope: Scope) -> str:
    """The path, without secrets, as the log has it."""
    return clean(mask_path(scope.get("path", ""))[:_LONGEST])


def address_text(scope: Scope) -> str:
    """The address of the client, without its port; "" where the server tells none."""
    client: Any = scope.get("client")
    return clean(str(client[0])) if client else ""


def _loaded(user: Any) -> Any:
    """The user behind a lazy object; None where it was not loaded yet, or there is none."""
    if isinstance(user, LazyObject):
        user = user.__dict__.get("_wrapped", empty)
        if user is empty:
            return None
    return user if getattr(user, "is_authenticated", False) else None


def user_key_of(scope: Scope) -> str:
    """The key of the user; "" for nobody."""
    user = _loaded(scope.get("user"))
    return "" if user is None else clean(user_key(user))


def user_label(scope: Scope) -> str:
    """What the user is called: the user name; "" for nobody, and where that was not loaded."""
    return clean(_label_of(_loaded(scope.get("user")))[:_LONGEST])


def _label_of(user: Any) -> str:
    if user is None:
        return ""
    name = _field(user, "USERNAME_FIELD", "username")
    # An object that is no model's has no database behind its str().
    return name or ("" if hasattr(user, "_meta") else str(user))


def _field(user: Any, kind: str, default: str) -> str:
    # Not by the attribute: a field that is deferred would be read from the database.
    value = getattr(user, "__dict__", {}).get(getattr(type(user), kind, default))
    return "" if value is None else str(value)


_VALUES: dict[str, Callable[[Socket, InboundTransport, float], Any]] = {
    "opened": lambda ws, transport, opened: opened,
    "user": lambda ws, transport, opened: user_label(transport.scope).casefold() or user_key_of(transport.scope),
    "address": lambda ws, transport, opened: address_text(transport.scope),
    "route": lambda ws, transport, opened: ws.route,
    "buffered": lambda ws, transport, opened: transport.buffered,
    "received_messages": lambda ws, transport, opened: ws.traffic.messages_received,
    "received_bytes": lambda ws, transport, opened: ws.traffic.bytes_received,
    "sent_messages": lambda ws, transport, opened: ws.traffic.messages_sent,
    "sent_bytes": lambda ws, transport, opened: ws.traffic.bytes_sent,
}


def value_of(order: str) -> Callable[[Socket, InboundTransport, float], Any]:
    """The function that gives what sockets are put in order by: of a socket, its transport, and when it was opened.

    Raises:
        ValueError: there is no such order.
    """
    if order not in _VALUES:
        raise ValueError(f"order={order!r} is none of {', '.join(_VALUES)}")
    return _VALUES[order]


def check_cursor(order: str, cursor: Any) -> Any:
    """A cursor that fits an order: the value, the time and the process of a socket; None is the beginning.

    Raises:
        ValueError: it does not.
    """
    kinds = (str if order in _TEXTS else (int, float), (int, float), str)
    if cursor is None or (
        isinstance(cursor, list)
        and len(cursor) == len(kinds)
        and all(isinstance(part, kind) for part, kind in zip(cursor, kinds, strict=True))
    ):
        return cursor
    raise ValueError(f"after={cursor!r} is no place in the order of {order!r}")


def matcher(search: SocketSearch) -> Callable[[Socket], bool] | None:
    """The function that tells whether a socket fits a search, but for its room and process; None if all do.

    Raises:
        ValueError: the address is no network.
    """
    tests = [
        make(wanted)
        for wanted, make in (
            (search.route, _of_route),
            (search.address, _of_address),
            (search.user, _of_user),
            (search.text, _with_text),
        )
        if wanted
    ]
    if not tests:
        return None
    return tests[0] if len(tests) == 1 else lambda ws: all(test(ws) for test in tests)


def _of_route(route: str) -> Callable[[Socket], bool]:
    return lambda ws: ws.route == route


def _of_address(address: str) -> Callable[[Socket], bool]:
    if "/" not in address:
        return lambda ws: address_text(ws.scope).startswith(address)
    return _in_network(address)


def _in_network(text: str) -> Callable[[Socket], bool]:
    network = ipaddress.ip_network(text, strict=False)

    def fits(ws: Socket) -> bool:
        try:
            return ipaddress.ip_address(address_text(ws.scope)) in network
        except ValueError:  # a Unix socket has none
            return False

    return fits


def _nowhere(ws: Socket) -> bool:
    return False


def _of_user(wanted: str) -> Callable[[Socket], bool]:
    part = wanted.casefold()

    def fits(ws: Socket) -> bool:
        user = _loaded(ws.scope.get("user"))
        if user is None:
            return False
        if str(getattr(user, "pk", "")) == wanted or part in _label_of(user).casefold():
            return True
        if part in _field(user, "EMAIL_FIELD", "email").casefold():
            return True
        return ":" in wanted and user_key(user) == wanted

    return fits


def _with_text(wanted: str) -> Callable[[Socket], bool]:
    part = wanted.casefold()
    try:
        is_there = _in_network(wanted) if "/" in wanted else _nowhere
    except ValueError:  # a part of a path
        is_there = _nowhere

    def fits(ws: Socket) -> bool:
        if is_there(ws):
            return True
        scope = ws.scope
        user = _loaded(scope.get("user"))
        texts = [ws.route, address_text(scope), ws.known_id]
        if user is not None:
            texts += [_label_of(user), _field(user, "EMAIL_FIELD", "email")]
        if part in "\n".join(texts).casefold():
            return True
        # Masking takes longer than all of this, and what is masked shall not be found.
        if part in str(scope.get("path", "")).casefold() and part in path_of_socket(scope).casefold():
            return True
        return user is not None and ":" in part and part in user_key(user).casefold()

    return fits
