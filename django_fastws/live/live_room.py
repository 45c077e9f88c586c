"""LiveRoom: declaration of a kind of room, with the handlers of its events and the hooks of its members."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never, TypeVar, overload

from django.conf import settings
from django.core import mail

from .._core.rates import Rate, parse_rate
from .._core.room_events import DEFAULT_EVENT
from ..exceptions import RouteError
from ..limits import Access, Limits
from ..rooms import History, Latest, Presence, Room
from ..routing import label_of
from .event import RESERVED, Event, check_event_name, is_event
from .event_handler import EventHandler
from .hooks import Hook, StateHook
from .pattern import RoomPattern

__all__ = ["LiveRoom"]

logger = logging.getLogger("django_fastws.rooms")

#: What is asked for in vain of the kind, when a room of it is meant.
_OF_ONE_ROOM = frozenset(
    {
        "broadcast",
        "abroadcast",
        "kick",
        "akick",
        "listen",
        "ahistory",
        "position",
        "aposition",
        "clear",
        "remove",
        "present",
        "apresent",
        "count",
        "acount",
        "aremove",
        "aclear",
    }
)

Function = TypeVar("Function", bound=Callable[..., Coroutine[Any, Any, Any]])
Handler = TypeVar("Handler", bound=Callable[..., Coroutine[Any, Any, Any] | AsyncIterator[Any]])


class LiveRoom:
    """Kind of room, declared by the pattern of its names; ``FastWS.room`` makes one.

    Called with the parameters of the pattern it is the room: ``tickets(pk=5)`` is ``Room("tickets/5")``.

    Attributes:
        pattern: as it was written.
        name: the given one, else made of the pattern.
        is_named: the name was given, and must be unique.
        history: what each room keeps of its broadcasts; None is nothing.
        latest: how each room is keyed; None where it is not.
        presence: how each room knows who is in it; None where it does not.
        tags: those of the FastWS and its own.
        access: the rules of joins; a callable among its permissions gets ``(ws, **params)``.
        limits: of the memberships of all rooms of this kind at a time, in this process.
        rate: of the events of one socket in one room; None without one.
        sends: the events that it broadcasts; empty where nothing is said about them.
        events: the handlers and relays, by event.
        join_hook, leave_hook, state_hook, card_hook: None where there is none.
        place: where it was declared.
    """

    do_not_call_in_templates = True

    def __init__(
        self,
        pattern: str,
        *,
        name: str | None,
        history: History | None,
        latest: Latest | None,
        presence: Presence | None,
        tags: tuple[str, ...],
        access: Access,
        limits: Limits,
        rate: Rate | None,
        sends: Iterable[type[Event]],
        place: str,
    ) -> None:
        self.names = RoomPattern(pattern)
        self.pattern = pattern
        self.is_named = name is not None
        self.name = name or _name_of(self.names)
        self.history = history
        self.latest = latest
        self.presence = presence
        self.tags = tags
        self.access = access
        self.limits = limits
        self.rate = rate
        self.place = place
        self.sends = _checked_sends(self, sends)
        self.events: dict[str, EventHandler] = {}
        self.join_hook: Hook | None = None
        self.leave_hook: Hook | None = None
        self._told: set[str] = set()
        self.state_hook: StateHook | None = None
        self.card_hook: StateHook | None = None

    def __call__(self, *unnamed: Never, **params: Any) -> Room:
        """The room with these parameters, by their names.

        Raises:
            TypeError: one is missing, unknown, without its name or does not fit; the text says which.
        """
        if unnamed:
            raise TypeError(f"room {self.pattern!r}: say which parameter it is: write {self._call()}")
        return Room(self.names.fill(params))

    if not TYPE_CHECKING:  # where it would be any attribute

        def __getattr__(self, name: str) -> Any:
            if name in _OF_ONE_ROOM:
                raise AttributeError(
                    f"{self!r} is a kind of room, and one room has {name}(): {self._call()}.{name}(...)"
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def match(self, name: str) -> dict[str, Any] | None:
        """The parameters of a room's name, converted; None if it is no room of this kind."""
        return self.names.match(name)

    def check_broadcast(self, room: str, event: str | None, data: Any) -> None:
        """Check what is broadcast in such a room: its event is no reserved one, and one of ``sends``, if it has any.

        Where ``DEBUG`` is on, and in tests, anything else is refused; elsewhere it is sent, and said once in the log.

        Raises:
            TypeError: it cannot be broadcast there.
        """
        label = f"a broadcast to {room!r}, a room of {self!r}"
        if isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"{label}, is JSON: bytes have no JSON form")
        if event in RESERVED:
            self._tell(event, f"{label}, is {event!r}, by which clients mean something else: give it another name")
        if not self.sends:
            return
        if event is None and isinstance(data, self.sends):
            return
        events = {one.__fastws_event__: one for one in self.sends}
        given = event or str(getattr(data, "__fastws_event__", DEFAULT_EVENT))
        if given in events and isinstance(data, events[given]):
            return
        if given in events:
            kind = events[given].__name__
            remedy = f"broadcast {kind}(...), not {type(data).__name__}"
        elif isinstance(data, Event):
            remedy = f"add {type(data).__name__} to its sends"
        else:
            kinds = " or ".join(f"{one.__name__}(...)" for one in self.sends)
            remedy = f"broadcast {kinds}, or add an event to its sends"
        self._tell(given, f"{label}, is {given!r}, and its sends are {sorted(events)}: {remedy}")

    def _tell(self, event: str, mistake: str) -> None:
        if settings.DEBUG or hasattr(mail, "outbox"):  # which Django's test environment has
            raise TypeError(mistake)
        if event not in self._told:
            self._told.add(event)
            logger.warning("%s; it is sent", mistake, extra={"room": self.pattern, "event": event})

    def on(
        self, event: str, *, rate: str | None = None, concurrent: bool = False, timeout: float | None = None
    ) -> Callable[[Handler], Handler]:
        """Handle an event that members send by the decorated function, which is returned as it is.

        It is an ``async def``, or an async generator whose items are sent one by one. Its first parameter is the
        LiveSocket; those that the pattern names get what it holds; one annotated ``Room`` gets the room. Every other
        is a field of the payload, validated by its annotation, by pydantic. If there is exactly one such, and it is
        a model, a dataclass or a TypedDict, that is the whole payload. What it returns is the answer, encoded by the
        annotation of its result.

        Args:
            event: its name, which the room has only once.
            rate: of this event of one socket in one room, such as "5/s"; None is none of its own.
            concurrent: it does not wait for the events before it, nor those after it for it.
            timeout: seconds that a call may take, all items of a generator included; None is no limit.
        Raises:
            RouteError: the function, the event or an option cannot be.
        """
        if callable(event):
            raise RouteError(f'{label_of(event)}: write `@{self.name}.on("...")` with the name of the event')
        options = self._options(event, rate, timeout)
        if not isinstance(concurrent, bool):
            raise RouteError(f"{self!r}.on({event!r}): concurrent={concurrent!r} is neither True nor False")

        def decorate(function: Handler) -> Handler:
            around = _caller()
            self._check_new(event)
            self.events[event] = EventHandler(
                event, self.names, function=function, around=around, concurrent=concurrent, **options
            )
            return function

        return decorate

    def relay(self, event: str, model: Any, *, rate: str | None = None) -> None:
        """Pass an event of one member to the others, without a handler: typing, cursors.

        It is validated, stamped with the key of its sender, never stored, and the first to be dropped.

        Args:
            event: its name, which the room has only once.
            model: what the payload must be: anything that pydantic takes.
            rate: of this event of one socket in one room, such as "20/s"; None is none of its own.
        Raises:
            RouteError: the event, the model or the rate cannot be.
        """
        options = self._options(event, rate, None)
        self.events[event] = EventHandler(event, self.names, model=model, place=self.place, **options)

    def on_join(self, function: Function) -> Function:
        """Run the decorated function at every join: ``async (ws, **params)``. What it raises refuses the join.

        Raises:
            RouteError: it cannot be such a function, or there is one already.
        """
        self._check_first(self.join_hook, "on_join")
        self.join_hook = Hook(function, self.names, _caller())
        return function

    def on_leave(self, function: Function) -> Function:
        """Run the decorated function once for every member that leaves, in whatever way: ``async (ws, **params)``.

        Raises:
            RouteError: it cannot be such a function, or there is one already.
        """
        self._check_first(self.leave_hook, "on_leave")
        self.leave_hook = Hook(function, self.names, _caller())
        return function

    @overload
    def state(self, function: Function, /) -> Function: ...

    @overload
    def state(self, *, shared: bool = False) -> Callable[[Function], Function]: ...

    def state(self, function: Any = None, *, shared: bool = False) -> Any:
        """Make the state that a member begins with, or goes on with, by the decorated function.

        It is ``async (ws, **params)``, and asked for a first join, or where continuity was lost. What it returns is
        encoded by the annotation of its result.

        Args:
            shared: the function is ``async (**params)``, without a socket: its state is the same for every member,
                made and encoded once for all that need it at that moment.
        Raises:
            RouteError: it cannot be such a function, or there is one already.
        """
        self._check_first(self.state_hook, "state")
        if self.latest is not None:
            raise RouteError(f"{self!r}.state: the state of a keyed room is its values; leave the function out")
        if function is not None:
            self.state_hook = StateHook(function, self.names, _caller(), shared=shared)
            return function

        def decorate(function: Function) -> Function:
            self._check_first(self.state_hook, "state")
            self.state_hook = StateHook(function, self.names, _caller(), shared=shared)
            return function

        return decorate

    def card(self, function: Function) -> Function:
        """Make the card that others see of a member, by the decorated function: ``async (ws, **params)``.

        It is asked at every join. What it returns is encoded by the annotation of its result, and is the ``meta`` of
        presence; ``LiveSocket.set_presence`` shows another one later.

        Raises:
            RouteError: it cannot be such a function, there is one already, or the room has no presence.
        """
        self._check_first(self.card_hook, "card")
        if self.presence is None:
            raise RouteError(f"{self!r}.card: the room has no presence; declare it with presence=True")
        self.card_hook = StateHook(function, self.names, _caller(), shared=False)
        return function

    def _options(self, event: Any, rate: str | None, timeout: float | None) -> dict[str, Any]:
        label = f"{self!r}, event {event!r}"
        check_event_name(event, repr(self))
        self._check_new(event)
        if timeout is not None and not (_is_number(timeout) and 0 < timeout < float("inf")):
            raise RouteError(f"{label}: timeout={timeout!r} is neither a positive number of seconds nor None")
        try:
            return {"rate": None if rate is None else parse_rate(rate), "timeout": timeout}
        except (TypeError, ValueError) as error:
            raise RouteError(f"{label}: {error}") from None

    def _check_new(self, event: str) -> None:
        if (former := self.events.get(event)) is not None:
            raise RouteError(f"{self!r}, event {event!r}: it is declared already, by {former.place}")

    def _check_first(self, former: Hook | None, call: str) -> None:
        if former is not None:
            raise RouteError(f"{self!r}.{call} is declared already, by {former.place}")

    def _call(self) -> str:
        """How a room of this kind is got, for texts."""
        return f"{self.name}({', '.join(f'{name}=...' for name in self.names.names)})"

    def __repr__(self) -> str:
        return f"LiveRoom({self.pattern!r})"


def _caller() -> Mapping[str, Any]:
    """The names local to where a function is decorated, for annotations that are strings."""
    frame = inspect.currentframe()
    for _ in range(2):
        frame = frame.f_back if frame is not None else None
    return frame.f_locals if frame is not None else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name_of(pattern: RoomPattern) -> str:
    """A name made of the literal text of a pattern, else the pattern."""
    words = "/".join(part for part in pattern.path.parts if isinstance(part, str)).split("/")
    return "-".join(word for word in words if word) or pattern.text


def _checked_sends(room: LiveRoom, sends: Any) -> tuple[type[Event], ...]:
    if is_event(sends):
        raise RouteError(f"{room!r}: sends={sends.__name__} is one event: write sends=[{sends.__name__}]")
    found: dict[str, type[Event]] = {}
    for event in sends:
        if not is_event(event):
            raise RouteError(
                f"{room!r}: sends has {event!r}, which is no event: write `class Said(Event): ...` and sends=[Said]"
            )
        if (former := found.setdefault(event.__fastws_event__, event)) is not event:
            raise RouteError(
                f"{room!r}: sends has {former.__qualname__} and {event.__qualname__}, and both are called "
                f'{event.__fastws_event__!r}; give one a name: `class {event.__name__}(Event, name="...")`'
            )
    return tuple(found.values())
