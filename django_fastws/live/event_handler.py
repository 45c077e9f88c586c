"""Event handler of a live room: validates a payload, calls the function, encodes what it returns."""

from __future__ import annotations

import collections.abc
import dataclasses
import inspect
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, NotRequired, get_args, get_origin

from pydantic import BaseModel, RootModel, TypeAdapter, ValidationError
from typing_extensions import TypedDict, is_typeddict

from .._core.converters import unwrap
from .._core.json import dumps
from .._core.rates import Rate
from ..exceptions import LiveError, RouteError
from ..rooms import Room
from ..routing import label_of, place_of
from ..validation import error_texts
from .pattern import RoomPattern
from .payload_schemas import takes_decoded
from .results import ResultEncoder
from .signature import EMPTY, LiveSignature, read_live_signature

__all__ = ["RELAYED", "EventHandler"]

#: The argument under which ``read()`` has the payload of a relayed event.
RELAYED = "data"

_ASYNC_ITERATORS = (
    collections.abc.AsyncIterator,
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterable,
)


class EventHandler:
    """Handler of one event that members of a room send; or, as a relay, what passes it to the others.

    Attributes:
        event: the name of the event.
        function: None for a relay.
        rate: of this event of one socket in one room; None without one.
        concurrent: it does not wait for the events before it, nor those after it for it.
        timeout: seconds that a call may take; None is no limit.
        is_generator: the function is an async generator: each item is an answer of its own.
        is_relay: it passes the payload to the other members.
        is_plain: the function is called, and returns the answer: no relay, no generator, no timeout.
        payload_type: what the payload is validated as.
        result_type: of the answer, or of each item; Any where there is no annotation, and for a relay.
        place: where it was declared.
    """

    def __init__(
        self,
        event: str,
        pattern: RoomPattern,
        *,
        function: Any = None,
        model: Any = None,
        around: Mapping[str, Any] | None = None,
        rate: Rate | None = None,
        concurrent: bool = False,
        timeout: float | None = None,
        place: str = "",
    ) -> None:
        self.event = event
        self.function = function
        self.rate = rate
        self.concurrent = concurrent
        self.timeout = timeout
        self.is_relay = function is None
        self.is_generator = inspect.isasyncgenfunction(function)
        self.is_plain = not self.is_relay and not self.is_generator and timeout is None
        self.place = place if function is None else place_of(function)
        self._label = f"relay({event!r})" if function is None else f"{label_of(function)}()"
        signature = LiveSignature((), "", {}, EMPTY)
        if function is not None:
            signature = read_live_signature(function, pattern, around or {}, may_yield=True)
        self.signature = signature
        self._whole = RELAYED if self.is_relay else _whole_payload(signature)
        self.payload_type: Any = model
        if not self.is_relay:
            self.payload_type = (
                signature.payload[self._whole].annotation if self._whole else _fields_type(event, signature)
            )
        self._has_default = (
            bool(self._whole) and not self.is_relay and signature.payload[self._whole].default is not EMPTY
        )
        self._payload = self._adapter()
        is_root = isinstance(self.payload_type, type) and issubclass(self.payload_type, RootModel)
        self._takes_null = is_root or (self.is_relay and self._is_valid(None))
        self._takes_decoded = takes_decoded(self._payload.core_schema)
        self._has_bound = bool(signature.params or signature.room)
        result = signature.result if not self.is_relay else EMPTY
        if self.is_generator:
            result = _item_type(result, self._label)
        self._encoder = ResultEncoder(self._label.removesuffix("()"), result)
        self.result_type = self._encoder.type

    def _adapter(self) -> TypeAdapter[Any]:
        try:
            adapter: TypeAdapter[Any] = TypeAdapter(self.payload_type)
            adapter.rebuild()  # a name that stands for nothing is found here, not at the first payload
            return adapter
        except Exception as error:
            names = ", ".join(map(repr, self.signature.payload)) or "the payload"
            remedy = "A parameter that is no field of the payload is one of the pattern, or annotated Room."
            if self.is_relay:
                remedy = f'Write relay({self.event!r}, Model), with the model itself, and rate="..." by its name.'
            raise RouteError(f"{self._label}: pydantic cannot validate {names}: {error}\n{remedy}") from None

    def _is_valid(self, data: Any) -> bool:
        try:
            self._payload.validate_python(data)
        except ValueError:
            return False
        return True

    def read(self, data: Any) -> dict[str, Any]:
        """Validate a payload; the arguments it makes, by name.

        Args:
            data: the JSON value of the frame, decoded; None is an empty object, unless it can be the payload.
        Returns:
            Of a relay the payload, validated, under ``RELAYED``.
        Raises:
            LiveError: "invalid", with the fields.
        """
        if self._has_default and (data is None or data == {}):  # clients say the one or the other without a payload
            return {}
        if data is None and not self._takes_null:
            data = {}
        value = self._read_decoded(data) if self._takes_decoded else self._read_json(data)
        return {self._whole: value} if self._whole else value

    def _read_decoded(self, data: Any) -> Any:
        """Validate decoded JSON; as ``_read_json()``, in a fraction of the time."""
        try:
            return self._payload.validator.validate_python(data)
        except ValidationError:  # which speaks of Python's types
            return self._read_json(data)

    def _read_json(self, data: Any) -> Any:
        try:
            return self._payload.validator.validate_json(dumps(data))
        except ValidationError as error:
            summary, fields = error_texts(error)
            raise LiveError("invalid", summary, fields=fields) from None

    def call(
        self, ws: Any, room: Room, params: Mapping[str, Any], arguments: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any] | AsyncIterator[Any]:
        """Call the function: a coroutine, or an async generator.

        Args:
            ws: the LiveSocket.
            params: of the pattern, converted.
            arguments: from ``read()``.
        """
        called: Coroutine[Any, Any, Any] | AsyncIterator[Any]
        if self._has_bound:
            called = self.function(ws, **self.signature.bind(room, params), **arguments)
        else:
            called = self.function(ws, **arguments)
        return called

    def encode(self, result: Any) -> bytes:
        """An answer, an item or what is relayed, as JSON.

        Raises:
            TypeError: it has no JSON form, or is not of the type that is annotated; a model of Django's or a queryset
                is refused with the remedy.
        """
        if self.is_relay:
            return self._payload.dump_json(result, by_alias=True)
        return self._encoder.encode(result)

    def __repr__(self) -> str:
        return f"<EventHandler {self.event!r} {self._label}>"


def _whole_payload(signature: LiveSignature) -> str:
    """The one parameter that is the whole payload: a model, a dataclass or a TypedDict; "" if there is none."""
    if len(signature.payload) != 1:
        return ""
    name, field = next(iter(signature.payload.items()))
    kind = unwrap(field.annotation)[0]
    kind = get_origin(kind) or kind
    if is_typeddict(kind) or (
        isinstance(kind, type) and (issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind))
    ):
        return name
    return ""


def _fields_type(event: str, signature: LiveSignature) -> Any:
    """TypedDict of the parameters: it has no names of its own that a field could clash with, as a model has."""
    make: Any = TypedDict
    return make(
        event,
        {
            name: field.annotation if field.default is EMPTY else NotRequired[field.annotation]
            for name, field in signature.payload.items()
        },
    )


def _item_type(annotation: Any, label: str) -> Any:
    """The type of the items of an async generator."""
    if annotation is EMPTY:
        return EMPTY
    if (get_origin(annotation) or annotation) not in _ASYNC_ITERATORS:
        raise RouteError(f"{label} has a `yield`, and so returns AsyncIterator[...], not {annotation}")
    arguments = get_args(annotation)
    return arguments[0] if arguments else EMPTY
