"""Declaration of live rooms: the options of ``FastWS.room``, checked."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from .._core.rates import parse_rate
from ..exceptions import LiveError, RouteError
from ..limits import Access, Limits
from ..rooms import History, Latest, Presence
from ..routing import check_name, label_of, signature_of
from .live_room import LiveRoom

__all__ = ["RoomPermission", "declare_room"]

#: ``app_label.codename``; or a callable, sync or async, that gets the LiveSocket and the parameters of the pattern.
RoomPermission = str | Callable[..., bool | Awaitable[bool]]


def declare_room(
    pattern: str,
    *,
    name: str | None,
    history: History | None,
    latest: Latest | None,
    presence: Presence | bool,
    sends: Iterable[Any],
    tags: tuple[str, ...],
    login_required: bool,
    permission: RoomPermission | Iterable[RoomPermission] | None,
    rate: str | None,
    limits: Mapping[str, int | None],
) -> LiveRoom:
    """A live room of the options of ``FastWS.room``.

    Raises:
        RouteError: one of them cannot be.
    """
    label = f"room({pattern!r})"
    check_name(label, name)
    if history is not None and not isinstance(history, History):
        raise RouteError(f"{label}: history={history!r} is none: write history=History(messages=500), or None")
    if latest is not None and not isinstance(latest, Latest):
        raise RouteError(f'{label}: latest={latest!r} is none: write latest=Latest(rate="5/s"), or None')
    if not isinstance(presence, (bool, Presence)):
        raise RouteError(f"{label}: presence={presence!r} is neither True nor False, nor Presence(counts_only=True)")
    if latest is not None and history is not None:
        raise RouteError(
            f"{label}: a keyed room keeps the newest value of each key, and has no history; leave one out"
        )
    try:
        room = LiveRoom(
            pattern,
            name=name,
            history=history,
            latest=latest,
            presence=Presence() if presence is True else presence or None,
            tags=tags,
            access=Access(login_required=login_required, permission=permission, passes=(LiveError,)),
            limits=Limits(**limits),
            rate=None if rate is None else parse_rate(rate),
            sends=sends,
            place=_place(),
        )
    except RouteError:
        raise
    except (TypeError, ValueError) as error:
        raise RouteError(f"{label}: {error}") from None
    for check in room.access.permissions:
        if not isinstance(check, str):
            _check_permission(room, check)
    return room


def _check_permission(room: LiveRoom, check: Any) -> None:
    names = room.names.names
    try:
        signature_of(check).bind(None, **dict.fromkeys(names))
    except TypeError:
        takes = ", ".join(("ws", *names))
        raise RouteError(f"{room!r}: {label_of(check)}() is called with the parameters ({takes})") from None
    except ValueError:  # of a callable that tells no signature
        return


def _place() -> str:
    """Place of the declaration: module, file and line of the first caller outside of this package."""
    frame = inspect.currentframe()
    package = __name__.partition(".")[0]
    while frame is not None:
        module = str(frame.f_globals.get("__name__", "?"))
        if module.partition(".")[0] != package:
            return f"{module} ({frame.f_code.co_filename}:{frame.f_lineno})"
        frame = frame.f_back
    return "?"
