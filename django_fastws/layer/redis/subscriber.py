"""Subscriptions of an event loop at one Redis: confirmed, and made again after the connection was lost."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ... import metrics
from ..._core.resp import ErrorReply, command
from ...exceptions import WebSocketConnectionError
from ..errors import OutputBufferLimitError, not_answering
from ..outages import LayerServer
from .connection import RedisConnection
from .deadlines import Deadlines
from .reconnecting import ReconnectingConnection

__all__ = ["ChannelState", "PendingCommand", "RedisSubscriber"]

_CONFIRMATIONS = frozenset((b"subscribe", b"unsubscribe", b"ssubscribe", b"sunsubscribe"))
_JOIN, _LEAVE = "join a room", "leave a room"


class ChannelState:
    """State of one channel: whether it is wanted, what Redis was told, and who waits for the confirmation."""

    __slots__ = ("is_asked", "is_wanted", "name", "unanswered", "waiters")

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.is_wanted = self.is_asked = False
        self.unanswered = 0
        self.waiters: list[asyncio.Future[None]] = []

    def settle(self, error: Exception | None = None) -> None:
        """End the waiting of all who wait for the channel, with the error if there is one."""
        waiters, self.waiters = self.waiters, []
        for future in waiters:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)


class PendingCommand:
    """Command that Redis owes answers for: one for each channel, and one for a PING, which has none."""

    __slots__ = ("channels", "missing")

    def __init__(self, channels: list[ChannelState]) -> None:
        self.channels = channels
        self.missing = len(channels) or 1


class RedisSubscriber(ReconnectingConnection):
    """Subscriptions over a connection of its own, confirmed by Redis, and made again when it breaks.

    What is asked for within one turn of the loop is sent at once, at the turn's end.

    Args:
        deliver: called with the channel and the data of every message; must not raise.
        resubscribed: called when a new connection has all the subscriptions, for what was missed before; must not
            raise.
    """

    _AT_ONCE = 1000  # channels in one command
    _SUBSCRIBE, _UNSUBSCRIBE = b"SUBSCRIBE", b"UNSUBSCRIBE"

    def __init__(
        self,
        server: LayerServer,
        pool: Any,
        *,
        deliver: Callable[[bytes, bytes], None],
        resubscribed: Callable[[], None] = lambda: None,
        **hooks: Callable[[], None],
    ) -> None:
        super().__init__(server, pool, **hooks)
        self._deliver = deliver
        self._resubscribed = resubscribed
        #: Whether there was a subscription, confirmed and wanted, that was lost with its connection.
        self._was_cut_off = False
        self._joining, self._leaving = Deadlines(_JOIN, server), Deadlines(_LEAVE, server)
        self._channels: dict[bytes, ChannelState] = {}
        #: Those that may differ from what Redis was told.
        self._touched: dict[ChannelState, None] = {}
        self._pending: deque[PendingCommand] = deque()
        self._is_flushing = False
        #: Done when a new connection has all the subscriptions of the one before.
        self._confirmed: asyncio.Future[None] | None = None

    async def subscribe(self, name: bytes) -> None:
        """Subscribe; returns when Redis has confirmed it.

        Raises:
            WebSocketConnectionError: Redis cannot be reached, or refuses. It may be subscribed later all the same,
                unless ``unsubscribe`` is called.
        """
        channel = self._channels.get(name)
        if channel is None:
            channel = self._channels[name] = ChannelState(name)
        channel.is_wanted = True
        if not channel.is_asked or channel.unanswered:
            await self._wait(channel, self._joining)

    async def unsubscribe(self, name: bytes) -> None:
        """Unsubscribe; returns when Redis has confirmed it, or is away.

        Raises:
            WebSocketConnectionError: Redis does not answer.
        """
        channel = self._channels.get(name)
        if channel is None:
            return
        channel.is_wanted = False
        if channel.is_asked or channel.unanswered:
            await self._wait(channel, self._leaving)
        else:
            self._drop(channel)

    def is_subscribed(self, name: bytes) -> bool:
        """Whether Redis has confirmed a subscription, over the connection that there is now."""
        channel = self._channels.get(name)
        return channel is not None and channel.is_asked and not channel.unanswered

    def abandon(self, name: bytes) -> None:
        """Unsubscribe, soon; tasks that wait for the subscription need not any more."""
        channel = self._channels.get(name)
        if channel is not None:
            channel.is_wanted = False
            if channel.is_asked or channel.unanswered:
                self._touch(channel)
            else:
                self._drop(channel)

    def _wait(self, channel: ChannelState, waiting: Deadlines) -> asyncio.Future[None]:
        future = waiting.add()
        channel.waiters.append(future)
        self._touch(channel)
        return future

    def _touch(self, channel: ChannelState) -> None:
        self._touched[channel] = None
        if self._connection is None:
            self._connect()
        elif not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)

    def _drop(self, channel: ChannelState) -> None:
        del self._channels[channel.name]
        channel.settle()

    def _flush(self) -> None:
        self._is_flushing = False
        connection = self._connection
        if connection is None:
            return
        touched, self._touched = self._touched, {}
        changed = [channel for channel in touched if channel.is_wanted is not channel.is_asked]
        data = self._ask(self._UNSUBSCRIBE, [channel for channel in changed if not channel.is_wanted])
        data += self._ask(self._SUBSCRIBE, [channel for channel in changed if channel.is_wanted])
        if data:
            connection.write(data)
        for channel in touched:
            if not channel.unanswered:
                self._agreed(channel)
        if self._channels:
            self._watch()

    def _ask(self, verb: bytes, channels: list[ChannelState]) -> bytes:
        """The commands for these channels, which are taken as sent."""
        data = b""
        for start in range(0, len(channels), self._AT_ONCE):
            some = channels[start : start + self._AT_ONCE]
            for channel in some:
                channel.is_asked = channel.is_wanted
                channel.unanswered += 1
            self._pending.append(PendingCommand(some))
            data += command(verb, *[channel.name for channel in some])
        return data

    def _agreed(self, channel: ChannelState) -> None:
        """Redis has answered everything that was asked about a channel."""
        if channel.is_wanted is not channel.is_asked:
            return  # the next flush asks again
        if channel.is_wanted:
            channel.settle()
        elif self._channels.get(channel.name) is channel:
            self._drop(channel)

    # What comes

    def _received(self, replies: list[Any]) -> None:
        self._has_heard = True
        for reply in replies:
            kind = reply[0] if isinstance(reply, (tuple, list)) and reply else reply
            if kind == b"message":
                self._deliver(reply[1], reply[2])
            elif kind in _CONFIRMATIONS:
                self._answered(reply[1])
            elif kind in (b"pong", b"PONG"):
                self._count()
            elif type(kind) is ErrorReply:
                self._refused(kind.text)
            # else a notice that nobody asked for

    def _answered(self, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is not None and channel.unanswered:
            self._count()
            channel.unanswered -= 1
            if not channel.unanswered:
                self._agreed(channel)

    def _count(self) -> None:
        oldest = self._pending[0]
        oldest.missing -= 1
        if not oldest.missing:
            self._pending.popleft()
        if not self._pending and self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_result(None)

    def _refused(self, text: str) -> None:
        error = WebSocketConnectionError(f"cannot {_JOIN}: Redis refuses: {text}")
        for channel in self._pending.popleft().channels:
            channel.unanswered -= 1
            channel.is_asked = False
            channel.settle(error)
        if self._confirmed is not None and not self._confirmed.done():
            self._confirmed.set_exception(error)

    # The connection

    def _is_needed(self) -> bool:
        return any(channel.is_wanted for channel in self._channels.values())

    async def _prepare(self, connection: RedisConnection) -> None:
        self._confirmed = self._loop.create_future()
        data = self._ask(self._SUBSCRIBE, [channel for channel in self._channels.values() if channel.is_wanted])
        if data:
            connection.write(data)
            either = [self._confirmed, connection.closed]
            await asyncio.wait(either, timeout=self._ATTEMPT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if self._confirmed.done():
                self._confirmed.result()
                if self._was_cut_off:
                    self._was_cut_off = False
                    self._resubscribed()
            elif connection.error is None:
                raise not_answering(self._server.name)

    def _forget(self) -> None:
        self._pending.clear()
        for channel in list(self._channels.values()):
            self._was_cut_off |= channel.is_wanted and channel.is_asked and not channel.unanswered
            channel.is_asked = False
            channel.unanswered = 0
            if not channel.is_wanted:
                self._drop(channel)

    def _allowed_silence(self, connection: RedisConnection) -> float:
        return self._TIMEOUT_HEARTBEATS if self._channels else 0

    def _probe(self, connection: RedisConnection) -> None:
        self._pending.append(PendingCommand([]))
        connection.write(command(b"PING"))

    def _lost(self, error: Exception) -> None:
        self._forget()
        if isinstance(error, OutputBufferLimitError):
            metrics.subscription_cut_offs.add()
        if self._is_needed():
            self._report_lost(error)
            self._connect()

    def check(self) -> None:
        """The layer was lost, or is back."""
        self._joining.check()
        self._leaving.check()

    async def close(self) -> None:
        await super().close()
        self._forget()  # who has left need not wait
        self._joining.fail(WebSocketConnectionError(f"cannot {_JOIN}: the channel layer was closed"))
        self._channels.clear()
        self._touched.clear()
        self._pending.clear()
