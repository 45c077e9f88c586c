"""Publisher and subscriber of an event loop to one Redis of a layer; numbers and encodes what is published."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from ..._core.envelope import EncodedEnvelope, Envelope
from ..._core.positions import Position
from ..._core.resp import command, publish_command
from ..._core.sequences import Sender
from ..outages import LayerServer
from .compatibility import sentinel_clients
from .history_commands import ASK_DURABILITY, decode_position, durable_server, store_command
from .hosts import create_pool
from .latest_commands import keep_command
from .publisher import RedisPublisher
from .subscriber import RedisSubscriber

__all__ = ["SETTLING_SECONDS", "RedisShard"]

#: How often a server is asked whether it keeps whatever it has confirmed.
DURABILITY_SECONDS = 10.0

#: When Redis is back, what was held waits for so long: others that were cut off subscribe again meanwhile. It is
#: longer than the pause between their attempts.
SETTLING_SECONDS = 0.75


class RedisShard:
    """Pair of connections to one Redis, a publisher and a subscriber. Each is made when it is needed.

    Args:
        host: as channels-redis decodes it.
        server: is told when it is lost and when it is back.
        deliver: called with the channel and the data of every message; must not raise.
        resubscribed: called when subscriptions that were lost are made again; must not raise.
    """

    def __init__(
        self,
        host: dict[str, Any],
        server: LayerServer,
        deliver: Callable[[bytes, bytes], None],
        resubscribed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = create_pool(host)
        self._loop = asyncio.get_running_loop()
        self._settled_at = 0.0
        self._sender = Sender()
        self._publish_command = publish_command
        #: Whether the server keeps what it has confirmed, as ``durable_server`` says it; when that was asked last,
        #: and after how many lost connections.
        self._durable, self._asked_at, self._asked_after = b"", -math.inf, 0
        hooks = {"reached": self._reached, "changed": self._changed}
        self.subscriber = self._make_subscriber(
            server, self._pool, deliver=deliver, resubscribed=resubscribed, **hooks
        )
        self.publisher = self._make_publisher(
            server, self._pool, is_held=lambda: self.subscriber.is_lost, settle=self._settle, **hooks
        )

    def _make_subscriber(self, server: LayerServer, pool: Any, **options: Any) -> RedisSubscriber:
        return RedisSubscriber(server, pool, **options)

    def _make_publisher(self, server: LayerServer, pool: Any, **options: Any) -> RedisPublisher:
        return RedisPublisher(server, pool, **options)

    def _sender_of(self, channel: bytes) -> Sender:
        """The sender that numbers what is published on a channel."""
        return self._sender

    def _reached(self) -> None:
        self._settled_at = self._loop.time() + SETTLING_SECONDS

    def _settle(self) -> float:
        return max(0.0, self._settled_at - self._loop.time())

    def _changed(self) -> None:
        self._asked_at = min(self._asked_at, self._loop.time() - DURABILITY_SECONDS)  # it may be another one
        self.subscriber.check()
        self.publisher.check()

    async def broadcast(
        self, channel: str, envelope: Envelope, serialize: Callable[[EncodedEnvelope], bytes]
    ) -> None:
        """Publish an envelope under a number, by which receivers know what was sent twice."""
        publisher = self.publisher
        if publisher.may_be_full:
            await publisher.wait_for_space()
        # From here to the queue nobody else has a turn, so the numbers are in order there.
        name = channel.encode()
        data = serialize(envelope.encode(self._sender_of(name)))
        await publisher.send(self._publish_command(name, data))

    async def store(
        self, prefix: str, channel: str, envelope: Envelope, serialize: Callable[[EncodedEnvelope], bytes]
    ) -> Position | None:
        """Store an envelope in its room's history, and publish it with its position, in one step.

        Returns:
            The position; None for an envelope that was stored before, and is not kept any more.
        """
        publisher = self.publisher
        if publisher.may_be_full:
            await publisher.wait_for_space()
        self.use_history()
        # As in broadcast(): no await up to the queue.
        name = channel.encode()
        encoded = envelope.encode(self._sender_of(name))
        data = serialize(encoded)
        return decode_position(
            await publisher.send(store_command(prefix, name, envelope, encoded, data, self._durable))
        )

    async def keep(
        self, prefix: str, channel: str, envelope: Envelope, serialize: Callable[[EncodedEnvelope], bytes]
    ) -> Position | None:
        """Keep an envelope as the newest value of its key, and publish it, in one step; returns its position."""
        publisher = self.publisher
        if publisher.may_be_full:
            await publisher.wait_for_space()
        publisher.use_scripts()
        # As in broadcast(): no await up to the queue.
        name = channel.encode()
        encoded = envelope.encode(self._sender_of(name))
        data = serialize(encoded)
        return decode_position(await publisher.send(keep_command(prefix, name, envelope, encoded, data)))

    @property
    def durable(self) -> bytes:
        """Whether the server keeps what it has confirmed, as ``durable_server`` says it, as far as it is known."""
        return self._durable

    def use_history(self) -> None:
        """A command for a history is about to be sent."""
        now, losses = self._loop.time(), self.publisher.losses
        if now - self._asked_at < DURABILITY_SECONDS and losses == self._asked_after:
            return
        self.publisher.use_scripts()
        self._asked_at, self._asked_after = now, losses
        replies = asyncio.gather(*map(self.publisher.send, ASK_DURABILITY), return_exceptions=True)
        replies.add_done_callback(self._hear_durability)

    def _hear_durability(self, replies: asyncio.Future[Any]) -> None:
        if not replies.cancelled():
            self._durable = durable_server(replies.result())

    async def send(self, data: bytes) -> Any:
        """Send an encoded command, and wait for the reply; after a lost connection it is sent again."""
        if self.publisher.may_be_full:
            await self.publisher.wait_for_space()
        return await self.publisher.send(data)

    async def execute(self, *parts: bytes) -> Any:
        """Send a command, and wait for the reply; after a lost connection it is sent again."""
        return await self.send(command(*parts))

    async def check(self) -> None:
        """Ask whether Redis is there."""
        await self.publisher.send(command(b"PING"))

    # What channels-redis calls

    async def publish(self, channel: str, message: bytes) -> None:
        """Publish, and wait until Redis has it."""
        if self.publisher.may_be_full:
            await self.publisher.wait_for_space()
        await self.publisher.send(self._publish_command(channel.encode(), message))

    async def subscribe(self, channel: str) -> None:
        """Subscribe, and wait until Redis has confirmed it."""
        await self.subscriber.subscribe(channel.encode())

    def abandon(self, channel: str) -> None:
        """Unsubscribe, soon."""
        self.subscriber.abandon(channel.encode())

    async def unsubscribe(self, channel: str) -> None:
        """Unsubscribe, and wait until Redis has confirmed it."""
        await self.subscriber.unsubscribe(channel.encode())

    async def flush(self) -> None:
        """Close the connections. They are made again when they are needed."""
        await self.subscriber.close()
        await self.publisher.close()
        for client in sentinel_clients(self._pool):
            await client.aclose()
