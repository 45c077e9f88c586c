"""Broker inside a process that has no channel layer, or Channels' in-memory one.

It reaches every thread and event loop, and has no capacity of 100 messages as the in-memory layer has.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Collection, Sequence

from django.core import mail

from .._core.envelope import CONTROL, Envelope
from .._core.forks import reset_in_child
from .._core.groups import group_name
from .._core.history import History
from .._core.history_page import HistoryPage, PageQuery
from .._core.latest import Latest
from .._core.latest_values import LatestValues
from .._core.positions import Position
from .._core.presence_reports import PresenceDiff
from ..conf import conf
from ..loops import running_loop
from .broker import Broker, BrokerClient, Deliver, Published
from .memory_history import MemoryHistories
from .memory_latest import MemoryLatest
from .memory_presence import MemoryPresence
from .outages import LayerStatus

__all__ = ["LocalBroker", "LocalBrokerClient", "local_broker"]

logger = logging.getLogger("django_fastws.layer")

_POLL_SECONDS = 0.001  # between two looks at whether a client that is held has resumed


class LocalBroker(Broker):
    """Broker that calls the clients of this process itself: at once in the running loop, soon in others."""

    def __init__(self) -> None:
        self._clients: dict[str, dict[LocalBrokerClient, asyncio.AbstractEventLoop]] = {}
        self._expects_members = False
        self._histories = MemoryHistories()
        self._latest = MemoryLatest()
        self._presence = MemoryPresence(self._tell_presence)
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Replace the lock in a forked child: another thread of the parent may have held it."""
        self._lock = threading.Lock()

    has_history = True

    async def apublish(self, envelope: Envelope) -> Position | None:
        position, held = self._store_and_deliver(envelope)
        await asyncio.sleep(0)  # so that a loop of broadcasts lets the sockets be written
        while any(client.is_held for client in held):  # noqa: ASYNC110 (they may be of other loops)
            await asyncio.sleep(_POLL_SECONDS)
        return position

    def publish(self, envelope: Envelope) -> Position | None:
        position, held = self._store_and_deliver(envelope)
        self._wait_for(held)
        return position

    def publish_all(self, envelopes: Sequence[Envelope]) -> list[Published]:
        done = [self._store_and_deliver(envelope) for envelope in envelopes]
        self._wait_for({client for _, held in done for client in held})
        return [position for position, _ in done]

    def _wait_for(self, held: Collection[LocalBrokerClient]) -> None:
        ends = time.monotonic() + conf.publish_timeout_seconds
        while any(client.is_held for client in held) and time.monotonic() < ends:
            time.sleep(_POLL_SECONDS)

    def _store_and_deliver(self, envelope: Envelope) -> tuple[Position | None, list[LocalBrokerClient]]:
        keyed = envelope.keyed
        if keyed is not None and keyed.latest is not None:
            return self._latest.keep(envelope, keyed, keyed.latest), self._deliver(envelope)
        if envelope.history is None:
            return None, self._deliver(envelope)
        # Two threads may deliver what they have stored in the other order: who gets it goes by the positions.
        position, is_new = self._histories.store(envelope, envelope.history)
        return position, self._deliver(envelope) if is_new else []

    async def aread_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        return self._histories.read(group, history, query)

    def read_history(
        self, group: str, history: History, query: PageQuery, *, seconds: float | None = None
    ) -> HistoryPage:
        return self._histories.read(group, history, query)

    async def aread_latest(self, group: str, latest: Latest) -> LatestValues:
        return self._latest.read(group, latest)

    async def aclear_history(self, envelope: Envelope, history: History) -> None:
        self._histories.clear(envelope.room, history)
        self._deliver(envelope)

    def clear_history(self, envelope: Envelope, history: History) -> None:
        self._histories.clear(envelope.room, history)
        self._deliver(envelope)

    async def aforget_history(self, group: str) -> None:
        self._histories.forget_room(group)

    async def acount_subscribers(self, group: str) -> int:
        with self._lock:
            return sum(not loop.is_closed() for loop in self._clients.get(group, {}).values())

    @property
    def presence(self) -> MemoryPresence:
        return self._presence

    def _tell_presence(self, room: str, diff: PresenceDiff) -> None:
        self._deliver(Envelope(CONTROL, group_name(room), presence=diff))

    def forget_histories(self) -> None:
        """Forget history, values and presence of every room, for tests, which share the process."""
        self._histories.forget()
        self._latest.reset()
        self._presence.forget()

    async def check(self, seconds: float = 2.0) -> None:
        pass  # it is always there

    @property
    def status(self) -> LayerStatus:
        return LayerStatus(is_reachable=True)

    def client(self, deliver: Deliver) -> LocalBrokerClient:
        return LocalBrokerClient(deliver, self)

    def expect_members(self) -> None:
        """Note that this process serves sockets, so that a broadcast which nobody hears is no mistake."""
        self._expects_members = True

    def _deliver(self, envelope: Envelope) -> list[LocalBrokerClient]:
        """Deliver to the clients of this process.

        Returns:
            The clients that a publisher should wait for before it publishes more, until none of them ``is_held``.
        """
        here, group = running_loop(), envelope.room
        envelope.published = time.time()
        with self._lock:
            clients = list(self._clients.get(group, {}).items())
        if not self._expects_members:
            self._warn_once()
        for client, loop in clients:
            if loop is here:
                client.deliver(envelope)
                continue
            try:
                loop.call_soon_threadsafe(client.deliver, envelope)
            except RuntimeError:  # that loop was closed with members in the room
                with self._lock:
                    self._clients.get(group, {}).pop(client, None)
        return [client for client, loop in clients if client.is_held and loop.is_running()]

    def _warn_once(self) -> None:
        """Say that nobody can hear what is published, in a process such as a shell that will never serve a socket."""
        self.expect_members()
        if not hasattr(mail, "outbox"):  # Django's test runner, which nobody expects to serve
            logger.warning(
                "Nobody can hear what this process broadcasts: it serves no sockets, and CHANNEL_LAYERS has no layer "
                "that reaches other processes. Configure django_fastws.layer.RedisChannelLayer"
            )

    def add(self, group: str, client: LocalBrokerClient, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver a group to a client of a loop, from now on."""
        self._expects_members = True
        with self._lock:
            self._clients.setdefault(group, {})[client] = loop

    def remove(self, group: str, client: LocalBrokerClient) -> None:
        """Deliver a group to a client no more."""
        with self._lock:
            clients = self._clients.get(group, {})
            clients.pop(client, None)
            if not clients:
                self._clients.pop(group, None)


class LocalBrokerClient(BrokerClient):
    """Subscriptions of one event loop to groups of a ``LocalBroker``."""

    def __init__(self, deliver: Deliver, broker: LocalBroker) -> None:
        super().__init__(deliver)
        self._broker = broker
        self._loop = asyncio.get_running_loop()
        #: Publishers should wait.
        self.is_held = False

    async def subscribe(self, group: str) -> None:
        self._broker.add(group, self, self._loop)

    async def unsubscribe(self, group: str) -> None:
        self._broker.remove(group, self)

    def hold(self) -> None:
        self.is_held = True

    def resume(self) -> None:
        self.is_held = False

    async def close(self) -> None:
        self.resume()


#: Of this process: who has joined without a layer is there with Channels' in-memory one, too.
local_broker = LocalBroker()
