"""Signature of a handler or hook of a live room: which parameters are the pattern's, the room, and the payload."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from .._core.constraints import constraints_of
from .._core.converters import unwrap
from ..exceptions import RouteError
from ..rooms import Room
from ..routing import check_async, label_of, resolved_annotation, signature_of
from .pattern import RoomPattern

__all__ = ["EMPTY", "LiveSignature", "PayloadField", "read_live_signature"]

EMPTY: Any = inspect.Parameter.empty
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
#: What Django's own converters make.
_MADE: dict[str, type] = {"str": str, "slug": str, "path": str, "int": int, "uuid": UUID}


class PayloadField(NamedTuple):
    """Parameter that comes from the payload.

    Attributes:
        annotation: resolved; Any where there is none.
        default: EMPTY where it is required.
    """

    annotation: Any
    default: Any


class LiveSignature(NamedTuple):
    """Signature of a handler or hook.

    Attributes:
        params: the pattern's parameters that it takes.
        room: the parameter that is annotated ``Room``; "" without one.
        payload: the others, by name.
        result: the annotation of what it returns, resolved; EMPTY where there is none.
    """

    params: tuple[str, ...]
    room: str
    payload: dict[str, PayloadField]
    result: Any

    def bind(self, room: Room, params: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments that do not come from a payload."""
        arguments = {name: params[name] for name in self.params}
        if self.room:
            arguments[self.room] = room
        return arguments


def read_live_signature(
    function: Any,
    pattern: RoomPattern,
    around: Mapping[str, Any],
    *,
    takes_socket: bool = True,
    may_yield: bool = False,
) -> LiveSignature:
    """Check that a function can be a handler or a hook, and read what it takes.

    Args:
        around: the names local to where it is declared, for annotations that are strings.
        takes_socket: its first parameter is the socket.
        may_yield: it may be an async generator.
    Raises:
        RouteError: it cannot be.
    """
    label = label_of(function)
    takes = "ws, ..." if takes_socket else "..."
    check_async(function, label, takes, may_yield=may_yield, instead="return all at once; only events have items")
    found = list(signature_of(function).parameters.values())
    if takes_socket:
        found = _without_socket(found, function, label, pattern)
    params: list[str] = []
    rooms: list[str] = []
    payload: dict[str, PayloadField] = {}
    for parameter in found:
        name = parameter.name
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            params += [param for param in pattern.names if param not in params]
            continue
        if parameter.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            raise RouteError(f"{label}(): parameter {name!r} is positional-only, and could not be passed")
        annotation = parameter.annotation
        if annotation is not EMPTY:
            annotation = resolved_annotation(annotation, function, label, name, around)
        if name in pattern.names:
            _check_param(annotation, name, pattern, label)
            params += [name] if name not in params else []
        elif unwrap(annotation)[0] is Room:
            rooms.append(name)
        else:
            payload[name] = PayloadField(Any if annotation is EMPTY else annotation, parameter.default)
    if len(rooms) > 1:
        raise RouteError(f"{label}(): {' and '.join(map(repr, rooms))} are both annotated Room; there is one room")
    result = signature_of(function).return_annotation
    if result is not EMPTY:
        result = resolved_annotation(result, function, label, "return", around)
    return LiveSignature(tuple(params), "".join(rooms), payload, result)


def _without_socket(
    found: list[inspect.Parameter], function: Any, label: str, pattern: RoomPattern
) -> list[inspect.Parameter]:
    if not found or found[0].kind not in _POSITIONAL:
        raise RouteError(f"{label}() takes no LiveSocket: write `async def {function.__name__}(ws, ...)`")
    first = found[0]
    if first.name in pattern.names and first.kind is not inspect.Parameter.POSITIONAL_ONLY:
        raise RouteError(
            f"{label}(): the first parameter is the LiveSocket, and is called {first.name!r} as one of the pattern "
            f"{pattern.text!r}: write `async def {function.__name__}(ws, {first.name}, ...)`"
        )
    return found[1:]


def _check_param(annotation: Any, name: str, pattern: RoomPattern, label: str) -> None:
    """Check that a parameter of the pattern is annotated as what its converter makes."""
    bare, hints = unwrap(annotation)
    try:
        constraints = constraints_of(hints, "characters")
    except TypeError:
        constraints = hints
    if constraints:
        raise RouteError(
            f"{label}(): {name!r} comes from the pattern {pattern.text!r}, where a path converter says what fits; "
            "register one, or refuse the join in on_join"
        )
    if bare in ("slug", "path"):
        return
    converter = next(param.converter or "str" for param in pattern.path.params if param.name == name)
    made = _MADE.get(converter)
    if made is not None and bare is not EMPTY and isinstance(bare, type) and not issubclass(made, bare):
        right = next((known for known, kind in _MADE.items() if kind is bare), None)
        remedy = f"write {{{name}:{right}}} there" if right else f"annotate it as {made.__name__}"
        raise RouteError(
            f"{label}(): {name!r} is {made.__name__} by the pattern {pattern.text!r}, not {bare.__name__}; {remedy}"
        )
