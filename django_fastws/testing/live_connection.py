"""LiveConnection: the protocol ``fastws.v1`` as a client of a test speaks it, over one connection after the other."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from inspect import isawaitable
from itertools import count
from typing import Any, NamedTuple, NoReturn

from .._core.json import loads
from ..exceptions import LiveError, WebSocketDisconnect
from ..tasks import cancel_and_wait
from .mailbox import Mailbox
from .matching import Where, listed, matches, phrase
from .received_event import ReceivedEvent
from .seen_presence import ReceivedPresence
from .websocket import TestWebSocket

__all__ = ["LiveConnection", "Replies", "RoomEnd"]

Answer = Callable[[Any], Any | Awaitable[Any]]
Frame = dict[str, Any]


class RoomEnd(NamedTuple):
    """Receiver of the frames of one room.

    Attributes:
        receive: takes a frame; returns whether it knew what that is.
        lost: the connection is over.
        events: those that nobody has taken yet, for the text of errors.
        changes: the same of changes of who is present.
    """

    receive: Callable[[Frame], bool]
    lost: Callable[[], None]
    events: Mailbox[ReceivedEvent]
    changes: Mailbox[ReceivedPresence]


class Replies(Mailbox[Frame]):
    """Replies to one frame: any number of items, then an answer or an error.

    Args:
        on_ok: called with the value of the answer when that is received, before any later frame.
    """

    def __init__(self, on_ok: Callable[[Any], None] | None = None) -> None:
        super().__init__()
        self._on_ok = on_ok
        self.is_over = False

    def put(self, item: Frame) -> None:
        """Add a reply."""
        self.is_over = "item" not in item
        if "ok" in item and self._on_ok is not None:
            self._on_ok(item["ok"])
        super().put(item)


class LiveConnection:
    """Connection of one client, which reads all the time: replies, events, asks.

    Args:
        connect: opens a connection.
        timeout: seconds that waiting may take.

    Attributes:
        ws: the present connection, or the last one.
        rooms: those that want the frames of a room.
        events: emits that nobody has taken yet.
        answers: functions that answer asks, by event.
    """

    def __init__(self, connect: Callable[[], AbstractAsyncContextManager[TestWebSocket]], timeout: float) -> None:
        self.ws: TestWebSocket
        self.timeout = timeout
        self.rooms: dict[str, RoomEnd] = {}
        self.events: Mailbox[ReceivedEvent] = Mailbox()
        self.answers: dict[str, Answer] = {}
        self._connect = connect
        self._opened: AbstractAsyncContextManager[TestWebSocket] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._ids = count(1)
        self._replies: dict[Any, Replies] = {}
        self._given_up: set[Any] = set()
        self._others: list[Frame] = []
        self._failures: list[Exception] = []

    # Open and close

    async def open(self) -> None:
        """Connect."""
        opened = self._connect()
        self.ws = await opened.__aenter__()
        self._opened = opened
        self.events.reopen()
        self._reading = asyncio.create_task(self._read(), name="live client of a test")

    async def close(self, code: int, reason: str = "") -> None:
        """Close from this end, if it is open, and wait for the handlers to end. Idempotent."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        tasks = [task for task in (self._reading, *self._answering) if task is not None and not task.done()]
        for task in tasks:
            await cancel_and_wait(task)
        try:
            await self.ws.close(code, reason)
        finally:
            self._closed()
            await opened.__aexit__(None, None, None)

    async def closed_by_server(self, seconds: float) -> None:
        """Wait until the server closes.

        Raises:
            TimeoutError: it did not.
        """
        if self._reading is not None:
            await asyncio.wait([self._reading], timeout=seconds)
            if not self._reading.done():
                raise TimeoutError(f"the connection was not closed in {seconds:g} seconds; {self.untaken()}")

    def check_answers(self) -> None:
        """Raise what a function has raised that should have answered an ask."""
        if self._failures:
            raise self._failures[0]

    def _closed(self) -> None:
        code, reason = self.ws.close_code or 1006, self.ws.close_reason
        self._lost(lambda: self._disconnect(code, reason))

    def _disconnect(self, code: int, reason: str) -> WebSocketDisconnect:
        error = WebSocketDisconnect(code, reason)
        error.add_note(self.untaken())
        return error

    def _lost(self, error: Callable[[], Exception]) -> None:
        for replies in self._replies.values():
            replies.end(error)
        self.events.end(error)
        for room in self.rooms.values():
            room.events.end(error)
            room.changes.end(error)
            room.lost()

    # Ask and wait

    async def request(self, frame: Frame, what: str, on_ok: Callable[[Any], None] | None = None) -> Any:
        """Say a frame, and wait for its answer.

        Args:
            what: what is asked for, for the text of errors.
            on_ok: called with the answer when that is received, before any later frame.
        Raises:
            LiveError: it is answered with an error.
            TimeoutError: it is not answered in time.
            TypeError: there are several answers.
            WebSocketDisconnect: the connection is closed.
        """
        async with self._exchange(frame, on_ok) as replies:
            reply = await self._reply(replies, what)
        if "item" in reply:
            raise TypeError(
                f"{what} has several answers: iterate over room.stream(...) instead of awaiting call(...)"
            )
        return reply["ok"]

    async def stream(self, frame: Frame, what: str) -> AsyncIterator[Any]:
        """Say a frame, and yield the items of its answer; leaving early cancels it. Raises as ``request()``."""
        has_items = False
        async with self._exchange(frame, None) as replies:
            while "item" in (reply := await self._reply(replies, what)):
                has_items = True
                yield reply["item"]
        if reply["ok"] is not None and not has_items:
            raise TypeError(f"{what} has one answer: await room.call(...) instead of iterating over stream(...)")

    @contextlib.asynccontextmanager
    async def _exchange(self, frame: Frame, on_ok: Callable[[Any], None] | None) -> AsyncIterator[Replies]:
        id_ = frame["id"] if "id" in frame else next(self._ids)
        replies = self._replies[id_] = Replies(on_ok)
        try:
            await self.say({**frame, "id": id_})
            yield replies
        finally:
            self._replies.pop(id_, None)
            if not (replies.is_over or replies.is_ended):
                self._given_up.add(id_)
                with contextlib.suppress(WebSocketDisconnect):
                    await self.say({"cancel": id_})

    async def _reply(self, replies: Replies, what: str) -> Frame:
        try:
            reply = await replies.take(lambda reply: True, self.timeout)
        except TimeoutError:
            self.late(f"{what} was not answered", self.timeout)
        if "error" in reply:
            raise _error_of(reply["error"])
        return reply

    async def say(self, frame: Frame) -> None:
        """Say a frame.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """
        if self.ws.closed:
            raise self._disconnect(self.ws.close_code or 1006, self.ws.close_reason)
        await self.ws.send_json(frame)

    async def take_event(
        self,
        events: Mailbox[ReceivedEvent],
        event: str | None,
        where: Where | None,
        timeout: float | None,
        *,
        key: str | None = None,
        whose: str = "",
        to: str = "",
    ) -> ReceivedEvent:
        """Wait for an event that was not taken yet, and take it. Others stay.

        Args:
            event: its name; None takes the first of any.
            where: what its data must be like.
            timeout: seconds; None is the client's.
            key: whose value it is; None takes that of any, and events that are no values.
            whose, to: stand before and behind what was waited for, in the text of a TimeoutError.
        Raises:
            TimeoutError: it did not come in time.
            Exception: that with which the events have ended.
        """
        seconds = self.timeout if timeout is None else timeout

        def is_wanted(received: ReceivedEvent) -> bool:
            return event in (None, received.event) and key in (None, received.key) and matches(where, received.data)

        try:
            return await events.take(is_wanted, seconds)
        except TimeoutError:
            what = "event" if event is None else f"event {event!r}"
            if key is not None:
                what = f"value of {key!r}"
            self.late(f"{whose}no {what}{phrase(where)}{to}", seconds)

    def late(self, what: str, seconds: float) -> NoReturn:
        """Raise a TimeoutError that shows what was received and nobody has taken."""
        raise TimeoutError(f"{what} in {seconds:g} seconds; {self.untaken()}") from None

    def untaken(self) -> str:
        """Description of what was received and nobody has taken, for the text of an error."""
        lines = [f"{name}: {event!r}" for name, room in self.rooms.items() for event in (*room.events, *room.changes)]
        lines += [f"to this client: {event!r}" for event in self.events]
        lines += [f"frame: {frame!r}" for frame in self._others]
        return listed("received, and not taken:", lines, "nothing else was received")

    # Read

    async def _read(self) -> None:
        try:
            while True:
                self._receive(loads((await self.ws.receive(math.inf)).data, "live client"))
        except WebSocketDisconnect:
            self._closed()
        except Exception as error:  # of the application, which has ended; leaving the block raises it as well
            found = error
            self._lost(lambda: found)

    def _receive(self, frame: Frame) -> None:
        if "id" in frame:
            known = self._reply_received(frame)
        elif "ask" in frame:
            task = asyncio.create_task(self._answer(frame))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)
            known = True
        elif "room" in frame:
            room = self.rooms.get(frame["room"])
            known = room is not None and room.receive(frame)
        elif "event" in frame:
            self.events.put(ReceivedEvent(frame["event"], frame.get("data")))
            known = True
        else:
            known = "ping" in frame
        if not known:
            self._others.append(frame)

    def _reply_received(self, frame: Frame) -> bool:
        replies = self._replies.get(frame["id"])
        if replies is not None:
            replies.put(frame)
        return replies is not None or frame["id"] in self._given_up

    async def _answer(self, frame: Frame) -> None:
        """Answer an ask, as the browser client does."""
        ws, answer = self.ws, {"answer": frame["ask"]}
        function = self.answers.get(frame["event"])
        try:
            if function is None:
                self._others.append(frame)
                raise LiveError("unknown_event", f"the test has no client.answer({frame['event']!r}, ...)")
            value = function(frame.get("data"))
            await ws.send_json({**answer, "ok": await value if isawaitable(value) else value})
        except WebSocketDisconnect:
            pass
        except Exception as error:
            if not isinstance(error, LiveError):
                self._failures.append(error)
                error = LiveError("failed", "the function of the test has failed")
            told = {"code": error.code, "message": error.message, "fields": error.fields}
            with contextlib.suppress(WebSocketDisconnect):
                await ws.send_json({**answer, "error": told})


def _error_of(told: Frame) -> LiveError:
    return LiveError(
        told["code"], told.get("message", ""), fields=told.get("fields"), retry_after=told.get("retry_after")
    )
