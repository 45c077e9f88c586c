"""Broker over any channel layer that knows only channels and groups."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
import time
import uuid
from collections.abc import Coroutine
from typing import Any

from .._core.envelope import Envelope, decode
from .._core.forks import reset_in_child
from ..exceptions import WebSocketConnectionError
from ..tasks import cancel_and_wait
from .broker import Broker, BrokerClient, Deliver
from .decoding_errors import DecodingErrors
from .errors import is_timeout, translated
from .outages import LayerStatus, outage_of
from .redis import Host, decode_hosts, layer_option

__all__ = ["ChannelsBroker", "ChannelsBrokerClient", "ChannelsRedisBroker"]

_PROBE = "fastws.probe"


class ChannelsBroker(Broker):
    """Broker over any channel layer with the groups extension.

    Threads without an event loop publish through one loop, which runs in a thread of its own.

    Args:
        confirms_subscriptions: whether ``group_add()`` of the layer returns when the subscription stands.
    """

    def __init__(self, layer: Any, *, confirms_subscriptions: bool = True) -> None:
        self._layer = layer
        self._confirms_subscriptions = confirms_subscriptions

    async def apublish(self, envelope: Envelope) -> None:
        envelope.published = time.time()
        async with translated("broadcast"):
            await self._layer.group_send(envelope.room, envelope.encode())

    def publish(self, envelope: Envelope) -> None:
        # A history is not stored, which a system check says.
        _publisher_loop.run(self.apublish(envelope))

    async def check(self, seconds: float = 2.0) -> None:
        async with translated("check the channel layer", seconds):
            await self._layer.group_send("fastws.check", {"type": "fastws.check"})

    @property
    def status(self) -> LayerStatus:
        return outage_of(self._layer).status

    def client(self, deliver: Deliver) -> ChannelsBrokerClient:
        return ChannelsBrokerClient(deliver, self._layer, confirms_subscriptions=self._confirms_subscriptions)


class ChannelsRedisBroker(ChannelsBroker):
    """Broker over a layer of channels-redis, whose Redis it knows.

    What it tells of that raises ``IncompatibleVersionError`` where the layer keeps its options elsewhere.
    """

    @property
    def redis_hosts(self) -> list[Host]:
        return decode_hosts(layer_option(self._layer, "hosts"))

    @property
    def redis_prefix(self) -> str:
        return str(layer_option(self._layer, "prefix", "asgi"))


class ChannelsBrokerClient(BrokerClient):
    """Subscriptions of one event loop by one channel, which is added to each group."""

    _SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two attempts to receive
    _WITHOUT_PAUSE = 100  # of what could not be decoded: behind it good messages wait

    def __init__(self, deliver: Deliver, layer: Any, *, confirms_subscriptions: bool) -> None:
        super().__init__(deliver)
        self._layer = layer
        self._server = outage_of(layer).server()
        self._channel: str | None = None
        self._opening = asyncio.Lock()
        self._may_receive = asyncio.Event()
        self._may_receive.set()
        self._receiver: asyncio.Task[None] | None = None
        self._confirms_subscriptions = confirms_subscriptions
        self._groups: set[str] = set()
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._errors, self._undecoded = DecodingErrors(), 0
        # Members of a group expire in layers that store them, however alive they are.
        expiry = getattr(layer, "group_expiry", None)
        self.refresh_seconds = expiry / 2 if expiry else None

    async def subscribe(self, group: str) -> None:
        async with translated("join a room"):
            async with self._opening:
                if self._channel is None:
                    self._channel = await self._layer.new_channel()
                    self._receiver = asyncio.get_running_loop().create_task(self._keep_receiving(self._channel))
            await self._layer.group_add(group, self._channel)
            if not self._confirms_subscriptions:
                await self._confirm(group)
            self._groups.add(group)

    async def unsubscribe(self, group: str) -> None:
        self._groups.discard(group)
        if self._channel is not None:
            async with translated("leave a room"):
                await self._layer.group_discard(group, self._channel)

    def is_subscribed(self, group: str) -> bool:
        return not self._server.is_lost_for(self)

    async def resubscribed(self, group: str) -> None:
        await self.subscribe(group)

    def hold(self) -> None:
        self._may_receive.clear()

    def resume(self) -> None:
        self._may_receive.set()

    async def close(self) -> None:
        receiver, self._receiver, self._channel = self._receiver, None, None
        if receiver is not None:
            await cancel_and_wait(receiver)
        self._server.give_up(self)

    async def _confirm(self, group: str) -> None:
        """Wait for a message of our own, which shows that the subscription stands."""
        probe = uuid.uuid4().hex
        heard = self._probes[probe] = asyncio.get_running_loop().create_future()
        try:
            await self._layer.group_send(group, {"type": _PROBE, "probe": probe})
            while not heard.done():
                await asyncio.wait([heard], timeout=0.25)
                if not heard.done():  # it was sent too early to be heard
                    await self._layer.group_send(group, {"type": _PROBE, "probe": probe})
        finally:
            del self._probes[probe]

    async def _keep_receiving(self, channel: str) -> None:
        """Receive for all groups, retry with a backoff what fails, and add the channel to its groups afterwards."""
        pause = 0.0
        while True:
            try:
                if self._server.is_lost_for(self):
                    await self._rejoin(channel)
                    self._server.report_restored(self)
                    self.restored()
                    pause = 0.0
                await self._may_receive.wait()
                message = await self._layer.receive(channel)
            except ValueError as error:  # the layer could not decode what somebody has published
                self._errors.log(error)
                self._undecoded += 1
                await asyncio.sleep(0 if self._undecoded % self._WITHOUT_PAUSE else self._SHORTEST_PAUSE)
            except Exception as error:
                if is_timeout(error):
                    continue  # redis-py 8 times out idle reads; a check tells how to stop that
                self._server.report_lost(self, error)
                pause = min(self._LONGEST_PAUSE, pause * 2 or self._SHORTEST_PAUSE)
                await asyncio.sleep(pause)
            else:
                self._received(message)

    def _received(self, message: Any) -> None:
        if not isinstance(message, dict):
            self._errors.log(TypeError(f"a message that is a {type(message).__name__}"))
        elif message.get("type") == _PROBE:
            heard = self._probes.get(str(message.get("probe", "")))
            if heard is not None and not heard.done():
                heard.set_result(None)
        else:
            try:
                envelope = decode(message)
            except Exception as error:
                self._errors.log(error)
            else:
                if envelope is not None:
                    self.deliver(envelope)

    async def _rejoin(self, channel: str) -> None:
        """A restarted Redis has forgotten the groups."""
        for group in list(self._groups):
            await self._layer.group_add(group, channel)


class _PublisherLoop:
    """Event loop in a thread, for publishing from code that has no loop. It starts with the first broadcast."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._of_parents: list[asyncio.AbstractEventLoop | None] = []
        self.reset()
        reset_in_child(self)
        atexit.register(self.stop)

    def reset(self) -> None:
        """Begin anew in a forked child, which has its parent's objects, but not its thread."""
        self._of_parents.append(self._loop)  # kept: its end here would close what the parent's thread uses
        self._loop, self._lock = None, threading.Lock()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the loop and wait for the end."""
        future = asyncio.run_coroutine_threadsafe(work, self._started())
        try:
            future.result()
        except concurrent.futures.CancelledError as error:
            raise WebSocketConnectionError("cannot broadcast: the process is stopping") from error

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="django_fastws publisher", daemon=True
                )
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """Close the connections and end the thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join(timeout=2)
        if not self._thread.is_alive():
            loop.close()  # channels-redis closes its connections of this loop here


#: Of this process.
_publisher_loop = _PublisherLoop()
