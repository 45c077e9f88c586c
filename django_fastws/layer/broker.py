"""The broker: what a channel layer does for rooms and users, as one interface for every kind of layer.

A new broker is one file with two classes, a ``Broker`` and its ``BrokerClient``, and a line in
``default.make_broker``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from .._core.envelope import Envelope
from .._core.history import History
from .._core.history_page import HistoryPage, PageQuery
from .._core.latest import Latest
from .._core.latest_values import LatestValues
from .._core.positions import Position
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from .errors import unreachable
from .outages import LayerStatus
from .presence_store import PresenceStore
from .values import ProcessValues

__all__ = ["Broker", "BrokerClient", "Deliver", "Published", "publishing_seconds"]

_NO_HISTORY = "this channel layer keeps no history"

Deliver = Callable[[Envelope], None]

#: What became of an envelope among several: its position, if it was stored; or the error.
Published = Position | None | WebSocketConnectionError


def publishing_seconds() -> float:
    """How long publishing may take, of one envelope or of several together."""
    return max(conf.publish_timeout_seconds, conf.publish_retry_seconds)


_values = ProcessValues()


class Broker(ABC):
    """Publishing to groups and subscribing to them, through one channel layer; one for each layer in a process.

    Threads and event loops share it: ``apublish``, ``check`` and ``client`` may be called in any running loop,
    ``publish`` in any thread without one. So what belongs to a loop, such as connections and tasks, is kept for each
    loop apart. A child that was forked uses nothing of its parent's: no connection, lock or thread.

    What every broker owes to those who publish:

    - Delivery is at most once. What is sent again, because nobody knows whether it was taken, is told apart where it
      is received; what cannot be told apart is not sent again.
    - Envelopes that one event loop, or one thread, publishes to one group arrive in the order in which the calls were
      made, also when the calls of a loop overlap; but of those that overlap, ``ChannelsBroker`` has the order of the
      layer, which may be none. Between groups, loops and threads there is no order.
    - An envelope arrives whole or not at all, and unchanged, though brokers may number it. What a layer delivers that
      is none is ignored.
    - A call returns when the layer has the envelope, not when anybody has received it. Only a broker whose envelopes
      end at this process may let a publisher wait while a client is held.
    - The only error of a layer that is out of reach, refuses or does not answer in time is
      ``WebSocketConnectionError``: none of the libraries underneath gets out.
    """

    #: Whether it stores what has a history, and the values of keyed rooms; any other broker only publishes them.
    has_history: ClassVar[bool] = False

    @abstractmethod
    async def apublish(self, envelope: Envelope) -> Position | None:
        """Publish to every process that subscribed to the envelope's room; return when the layer has it.

        It is called for every broadcast. Numbering an envelope and putting it into a queue must be atomic, without an
        await between: otherwise two calls of one loop could change places.

        An envelope of a keyed room is kept as the newest value of its key, in the same step.

        An envelope with a history is stored besides, in the same step: the history and what subscribers get have one
        order, and neither has what the other has not. Its idempotency key makes it be stored once.

        Returns:
            The position of an envelope that was stored; None for any other, and for one that was stored before and
            is not kept any more.
        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """

    @abstractmethod
    def publish(self, envelope: Envelope) -> Position | None:
        """Publish from a thread that runs no event loop, which it blocks; otherwise as ``apublish``.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """

    def publish_all(self, envelopes: Sequence[Envelope]) -> list[Published]:
        """Publish several from a thread that runs no event loop, those for one group in this order.

        One that fails keeps no other from it. They have one deadline together, behind which nothing more is begun.

        Returns:
            What became of each.
        """
        ends, found = time.monotonic() + publishing_seconds(), list[Published]()
        for envelope in envelopes:
            try:
                if found and time.monotonic() >= ends:
                    raise unreachable("broadcast", "those before it have taken too long")
                found.append(self.publish(envelope))
            except WebSocketConnectionError as error:
                found.append(error)
        return found

    async def aread_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        """Read a part of a room's history, at one moment: what is kept within these bounds.

        A room that has had no event has an epoch from the first reading on.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """
        raise NotImplementedError(_NO_HISTORY)

    def read_history(
        self, group: str, history: History, query: PageQuery, *, seconds: float | None = None
    ) -> HistoryPage:
        """Read from a thread that runs no event loop, which it blocks; otherwise as ``aread_history``.

        Args:
            seconds: the longest that this may take, also where the layer is away; None waits as for publishing.
        """
        raise NotImplementedError(_NO_HISTORY)

    async def aclear_history(self, envelope: Envelope, history: History) -> None:
        """Forget a room's events, begin another epoch, and publish an envelope that says so, in one step.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """
        raise NotImplementedError(_NO_HISTORY)

    def clear_history(self, envelope: Envelope, history: History) -> None:
        """Clear from a thread that runs no event loop, which it blocks; otherwise as ``aclear_history``."""
        raise NotImplementedError(_NO_HISTORY)

    async def aread_latest(self, group: str, latest: Latest) -> LatestValues:
        """Read the newest value of each key of a keyed room, at one moment.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """
        raise NotImplementedError(_NO_HISTORY)

    async def aforget_history(self, group: str) -> None:
        """Forget that a room has ever had a history, positions and all; for one that was made for a trial.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """
        raise NotImplementedError(_NO_HISTORY)

    async def acount_subscribers(self, group: str) -> int | None:
        """How many broker clients of all processes are subscribed to a group; None where the layer does not tell.

        One that was cut off without a word counts until the layer has noticed that.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses.
        """
        return None

    @property
    def presence(self) -> PresenceStore | None:
        """Who is present in the rooms of the layer; None where it keeps nothing of that."""
        return None

    async def claim(self, key: str, value: bytes, seconds: float, over: bytes = b"") -> bytes | None:
        """Keep a value under a key, unless there is one. It must be atomic for all processes of the layer.

        A broker whose layer can keep nothing keeps it in the memory of this process, and for this process only.

        Args:
            key: any text.
            value: unlike that of any other claim.
            seconds: how long it is kept.
            over: a value that is as good as none, and replaced.
        Returns:
            The value that is there; None if it is this one, which is kept from now on.
        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses; it may be kept all the same.
        """
        return _values.claim(key, value, seconds, over)

    async def store(self, key: str, value: bytes, seconds: float) -> None:
        """Keep a value under a key, in place of the one that is there; where ``claim()`` keeps it.

        Raises:
            WebSocketConnectionError: the layer cannot be reached in time, or refuses; it may be kept all the same.
        """
        _values.store(key, value, seconds)

    @abstractmethod
    async def check(self, seconds: float = 2.0) -> None:
        """Ask the layer, each of its servers, whether it is there.

        Args:
            seconds: the longest that this may take.
        Raises:
            WebSocketConnectionError: it does not answer in time.
        """

    @property
    @abstractmethod
    def status(self) -> LayerStatus:
        """State of the layer, as far as this process knows it, without asking. Never blocks, in any thread."""

    @property
    def redis_hosts(self) -> list[dict[str, Any]]:
        """Redis servers of the layer, as options for redis-py, for what is no message; none where it has none."""
        return []

    @property
    def redis_prefix(self) -> str:
        """Prefix of every key that this package writes into the layer's Redis."""
        return "asgi"

    @abstractmethod
    def client(self, deliver: Deliver) -> BrokerClient:
        """Make a client of the running event loop. It costs nothing before its first subscription.

        Args:
            deliver: called in that loop with every envelope of the groups subscribed to; must not raise.
        """


class BrokerClient(ABC):
    """Subscriptions of one event loop to groups, delivered to one function; made by ``Broker.client``.

    It is used in the loop that made it only, and is there the only client of its groups. Calls for different groups
    may overlap; those for one group do not, for the caller awaits one before the next. A call that is cancelled may
    have been carried out; ``unsubscribe`` afterwards ends whatever there is.

    Envelopes of one publisher to one group are delivered in order, each once, and only while the group is subscribed
    to. ``deliver`` may be called from within ``apublish`` of the same loop, or in a later turn.
    """

    #: Groups must be subscribed to again after so many seconds; None if never.
    refresh_seconds: float | None = None

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver
        #: Called in the loop when envelopes may have been missed: what is missing of rooms with a history can
        #: be read there. Must not raise. Whoever has use for it sets it, before the first subscription.
        self.restored: Callable[[], None] = lambda: None

    @abstractmethod
    async def subscribe(self, group: str) -> None:
        """Subscribe; return when nothing that is published from now on is missed. Doing so twice is doing so once.

        Raises:
            WebSocketConnectionError: the layer cannot be reached; it may be subscribed all the same.
        """

    @abstractmethod
    async def unsubscribe(self, group: str) -> None:
        """Unsubscribe, also from what is not subscribed to. Nothing is delivered any more, whatever it raises.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """

    def is_subscribed(self, group: str) -> bool:
        """Whether the layer still has a subscription, as far as that is known: it may have been lost with Redis.

        A broker makes lost subscriptions again by itself. It is asked for every join, and never blocks.
        """
        return True

    async def resubscribed(self, group: str) -> None:  # noqa: B027 (nothing is lost where this is not overridden)
        """Wait until a subscription that was lost is made again.

        Raises:
            WebSocketConnectionError: that takes too long. It is made later all the same.
        """

    def hold(self) -> None:  # noqa: B027 (what cannot be held is delivered)
        """Deliver nothing more for now: the receiver is behind. What comes waits up to a bound, or is dropped.

        May be called from within ``deliver``.
        """

    def resume(self) -> None:  # noqa: B027
        """Deliver again, after ``hold()``: what has waited comes first, in its order."""

    async def close(self) -> None:  # noqa: B027
        """Give back what the client holds, after its last group. It is not used any more."""
