"""Outbox: the bounded send queue of one socket, its writer task, and its policy for slow consumers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol, cast

from .. import metrics
from .._core.backlog import SLOW_CONSUMER_POLICIES, Backlog
from .._core.close_codes import TOO_SLOW
from .._core.messages import Batch, Payload
from ..conf import conf
from ..exceptions import WebSocketDisconnect
from ..log_fields import connection_fields
from ..types import Message, Scope
from .shared_writers import shared_writers

__all__ = ["Outbox", "Outlet", "StoredListener"]

logger = logging.getLogger("django_fastws.transports")

_CLOSE_TIMEOUT_SECONDS = 5.0  # for a slow client to take its close frame

#: What waits: a message, or the event that closes; and the future of the task that waits for it to be sent.
Entry = tuple[Payload | Message, asyncio.Future[None] | None]


class StoredListener(Protocol):
    """Listener to what becomes of messages that are stored in the histories of rooms, for a client that is too slow.

    They need not wait, for they can be read again.
    """

    def fell_behind(self, payloads: Sequence[Payload]) -> None:
        """These messages, in order, are not sent: the client is too slow. What comes behind them should wait."""

    def caught_up(self) -> None:
        """The client has taken all that waited."""


class Outlet(Protocol):
    """Outlet of an outbox: the transport of its socket, to which it writes.

    Attributes:
        is_sending: whether a message is being sent, or waits for it; what is sent meanwhile has to wait as well.
        scope: of the connection.
        stored_listener: who can send stored messages later; None where they are dropped like any others.
    """

    is_sending: bool
    scope: Scope
    stored_listener: StoredListener | None

    def unsent(self) -> int:
        """Number of bytes that the server holds for a client that does not take them."""

    async def wait_for_room(self) -> None:
        """Wait until the server should be given more, or the connection is closed. Raises nothing."""

    async def hand_over(self, item: Payload | Message) -> None:
        """Hand a message or an event to the server; returns when it has taken it."""

    def send_failed(self, problem: BaseException) -> WebSocketDisconnect:
        """The server's ``send`` has raised this; returns what those are told who wait."""

    def closed_error(self, call: str) -> WebSocketDisconnect:
        """The error for a call on a closed connection."""

    def close_slow(self, code: int, reason: str) -> None:
        """Close the connection of a client that is too slow, without waiting."""

    def abort(self) -> None:
        """Cut the connection off."""


class Outbox(Backlog[Entry]):
    """Send queue of one socket: what the server could not be given at once goes out from here, in order.

    A transport makes one when something first has to wait, which on most sockets is never. The messages of broadcasts
    (``post()``) have a bound, ``FASTWS_SEND_BUFFER_BYTES`` together with what the server holds. Over it the volatile
    ones are dropped, and if that does not do, ``FASTWS_SLOW_CONSUMER`` says what happens. A task that waits for its
    message (``send()``) is its own bound.

    Attributes:
        dropped: how many messages of broadcasts were dropped because the client was slow.
        is_slow: whether the client is being disconnected for that.
    """

    __slots__ = ("_has_warned", "_is_behind", "_is_due", "_outlet", "_writer", "is_slow")

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet
        self._writer: asyncio.Task[None] | None = None
        #: Whether a task of all sockets is to write it, and has not begun.
        self._is_due = False
        self.is_slow = self._has_warned = False
        #: Stored messages were not sent, and their listener waits for the client to take the others.
        self._is_behind = False

    @property
    def has_work(self) -> bool:
        """Whether something waits, or somebody who is told when nothing does any more."""
        return bool(self) or self._is_behind

    # In

    async def send(self, item: Payload | Message, size: int) -> None:
        """Queue a message or an event behind all that waits, and wait until it was sent.

        Raises:
            WebSocketConnectionError: the connection was closed before.
        """
        sent = asyncio.get_running_loop().create_future()
        entry = (item, sent)
        self.push(entry, size)
        self.start()
        try:
            await sent
        except asyncio.CancelledError:
            if isinstance(item, Payload):  # a close is sent all the same
                self.discard(entry)  # or what is given up would pile up behind a client that does not read
            raise

    def post(self, batch: Payload | Batch) -> bool:
        """Queue the messages of a broadcast, as far as there is room; True if that was given to a task just now."""
        was_due, dropped, volatile = self._is_due, self.dropped, 0
        limit, waiting = conf.send_buffer_bytes, batch.payloads
        for place, payload in enumerate(waiting):
            size = len(payload)
            fits = self._has_room(size, limit)
            if not fits and self.volatile:
                volatile += self.clear_volatile()
                fits = self._has_room(size, limit)
            if not fits and self._fell_behind(waiting[place:]):
                # What is left of the batch is as it was, without what is stored.
                rest = [one for one in waiting[place:] if not one.comes_again]
                self._count_volatile(volatile)
                return (self.post(Batch(rest)) if rest else False) or (self._is_due and not was_due)
            if not fits and payload.is_volatile:
                self.dropped += 1
                volatile += 1
            elif fits or self._make_room(size, limit):
                self.push((payload, None), size, droppable=True, volatile=payload.is_volatile)
                self._start_shared()
        if self.dropped != dropped:
            self._count_drops(volatile, self.dropped - dropped - volatile)
        return self._is_due and not was_due

    def _fell_behind(self, coming: Sequence[Payload]) -> bool:
        """Give stored messages back to who can send them later; False where there are none, or nobody can."""
        listener = self._outlet.stored_listener
        if listener is None or conf.slow_consumer == "disconnect":
            return False
        stored = [item for item, _ in self.take_out(_is_stored) if isinstance(item, Payload)]
        stored += [payload for payload in coming if payload.comes_again]
        if not stored:
            return False
        self._is_behind = True
        self._start_shared()
        listener.fell_behind(stored)
        return True

    # Slow consumers

    def _has_room(self, size: int, limit: int) -> bool:
        """Whether one more message of this size fits, together with what the server holds."""
        unsent = self._outlet.unsent()
        return self.fits(size, limit - unsent) and (not unsent or unsent + size <= limit)

    def _make_room(self, size: int, limit: int) -> bool:
        """The queue is full: apply ``FASTWS_SLOW_CONSUMER``. True if the message may be added."""
        policy = conf.slow_consumer
        if not self._has_warned and not self.is_slow:
            self._has_warned = True
            self._warn(SLOW_CONSUMER_POLICIES[policy])
        if policy == "drop_oldest" and self.drop_oldest(size, limit - self._outlet.unsent()):
            return True
        self.dropped += 1
        if policy == "disconnect" and not self.is_slow:
            self.is_slow = True
            asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT_SECONDS, self._outlet.abort)
            self.clear_droppable()
            self._outlet.close_slow(*TOO_SLOW)
        return False

    def _count_volatile(self, count: int) -> None:
        if count:
            self._count_drops(count, 0)

    def _count_drops(self, volatile: int, others: int) -> None:
        """Messages were dropped: the volatile ones, which go first, and those that the policy has dropped."""
        if volatile:
            if volatile == self.dropped:
                self._warn("the volatile messages are dropped")
            metrics.policy_drops.add(volatile, "volatile")
        if others:
            metrics.policy_drops.add(others, conf.slow_consumer)

    def _warn(self, consequence: str) -> None:
        fields, limit = connection_fields(self._outlet.scope), conf.send_buffer_bytes
        line = "A slow client on %r has over %d bytes unsent: %s"
        logger.warning(line, fields["path"], limit, consequence, extra=fields)

    # Out

    def start(self) -> None:
        """Start the writer, unless it runs or a message is being sent; the task that sends that starts it then."""
        if not self._outlet.is_sending:
            self._outlet.is_sending = True
            self._writer = asyncio.get_running_loop().create_task(self._write())

    def _start_shared(self) -> None:
        """Likewise, by a task that writes for other sockets, too."""
        if not self._outlet.is_sending:
            self._outlet.is_sending = self._is_due = True
            shared_writers().start(self._write_shared)

    async def _write_shared(self) -> None:
        if self._is_due:  # or the socket has ended
            self._is_due = False
            self._writer = asyncio.current_task()
            await self._write()

    async def _write(self) -> None:
        """Write what waits until nothing does, or the connection is closed."""
        outlet = self._outlet
        try:
            while self.has_work:
                await outlet.wait_for_room()
                if not self:
                    break
                item, sent = self.pop()
                is_close = not isinstance(item, Payload)
                if sent is not None and sent.cancelled() and not is_close:
                    continue  # who waited for it gave up, and does not expect it to be sent
                try:
                    await outlet.hand_over(item)
                except BaseException as problem:
                    error = outlet.send_failed(problem)
                    _fail(sent, error)
                    self.fail(error)
                    if not isinstance(problem, Exception):
                        raise
                    return
                if sent is not None and not sent.done():
                    sent.set_result(None)
                if is_close:
                    self.fail(outlet.closed_error("send"))
                    return
        finally:
            outlet.is_sending = False
            self._writer = None
        if self._is_behind:
            self._is_behind = False
            if (listener := outlet.stored_listener) is not None:
                listener.caught_up()

    def fail(self, error: WebSocketDisconnect) -> None:
        """Empty it; tasks that wait get the error that the connection is closed."""
        for _, sent in self.clear():
            _fail(sent, error)

    def release(self, error: WebSocketDisconnect) -> None:
        """The socket has ended: stop writing, and let go of what waits."""
        self._is_due = False
        if self._writer is not None:
            if self._writer is not asyncio.current_task():  # which may go on to other sockets
                self._writer.cancel()
            self._writer = None
        self.fail(error)
        self._outlet = cast("Outlet", None)  # or the two would keep each other in memory


def _is_stored(entry: Entry) -> bool:
    return isinstance(entry[0], Payload) and entry[0].comes_again


def _fail(sent: asyncio.Future[None] | None, error: WebSocketDisconnect) -> None:
    if sent is not None and not sent.done():
        sent.set_exception(error)
