"""Hooks of a live room: what runs when a member joins or leaves, and what makes the state."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

from ..exceptions import RouteError
from ..rooms import Room
from ..routing import label_of, place_of
from .pattern import RoomPattern
from .results import ResultEncoder
from .signature import EMPTY, read_live_signature

__all__ = ["Hook", "StateHook"]


class Hook:
    """Hook of a join or a leave: ``async (ws, **params)``, with the room where a parameter is annotated ``Room``.

    Args:
        around: the names local to where it is declared.
    Raises:
        RouteError: the function cannot be one.
    """

    def __init__(
        self, function: Any, pattern: RoomPattern, around: Mapping[str, Any], *, takes_socket: bool = True
    ) -> None:
        self.function = function
        self.place = place_of(function)
        self.signature = read_live_signature(function, pattern, around, takes_socket=takes_socket)
        self._takes_socket = takes_socket
        if name := next((n for n, field in self.signature.payload.items() if field.default is EMPTY), ""):
            names = ", ".join(pattern.names) or "none"
            shared = "" if takes_socket else "; a shared state is the same for all, and gets no socket"
            raise RouteError(
                f"{label_of(function)}(): {name!r} is no parameter of the pattern {pattern.text!r}, which has "
                f"{names}; the room comes in one that is annotated Room{shared}"
            )

    def call(self, ws: Any, room: Room, params: Mapping[str, Any]) -> Coroutine[Any, Any, Any]:
        """Call the function.

        Args:
            ws: the LiveSocket; it is not passed to what takes none.
            params: of the pattern, converted.
        """
        arguments = self.signature.bind(room, params)
        called: Coroutine[Any, Any, Any] = (
            self.function(ws, **arguments) if self._takes_socket else self.function(**arguments)
        )
        return called

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {label_of(self.function)}>"


class StateHook(Hook):
    """Function that makes the state of a room: ``async (ws, **params)``, or ``async (**params)`` if it is shared.

    Attributes:
        shared: the same state for every member, made without a socket.
        result_type: of the state, as pydantic takes it; Any where there is no annotation.
    """

    def __init__(self, function: Any, pattern: RoomPattern, around: Mapping[str, Any], *, shared: bool) -> None:
        super().__init__(function, pattern, around, takes_socket=not shared)
        self.shared = shared
        self._encoder = ResultEncoder(label_of(function), self.signature.result)
        self.result_type = self._encoder.type

    def encode(self, state: Any) -> bytes:
        """The state as JSON.

        Raises:
            TypeError: it has no JSON form, or is not of the type that is annotated; a model of Django's or a queryset
                is refused with the remedy.
        """
        return self._encoder.encode(state)
