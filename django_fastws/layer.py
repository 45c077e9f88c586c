"""The only module that calls a channel layer.

A hub subscribes to groups here and anyone publishes to them. There are three ways underneath:

- no layer, or Channels' in-memory layer: a bus inside this process, thread-safe and without its capacity of 100;
- ``RedisChannelLayer`` below: one Redis connection for each process and event loop, confirmed subscriptions;
- any other layer: one channel for each hub, added to the groups.

What crosses is an envelope: a dict with a ``type``, a version, and values that are str or bytes. Receivers ignore
keys that they do not know.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from typing import Any

from channels.layers import InMemoryChannelLayer, get_channel_layer
from channels_redis.core import RedisChannelLayer as CoreLayer
from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)
from channels_redis.utils import _wrap_close, create_pool, decode_hosts
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError

from .conf import conf
from .exceptions import WebSocketConnectionError, WebSocketError

__all__ = ["Link", "RedisChannelLayer", "apublish", "has_redis", "link", "publish", "redis_client"]

logger = logging.getLogger("django_fastws.layer")

Envelope = Mapping[str, str | bytes]
Deliver = Callable[[Envelope], None]

_PROBE = "fastws.probe"


# Redis, with safe defaults


class RedisChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """channels-redis's pub/sub layer, with defaults that are safe on redis-py 5 to 8.

    A drop-in replacement for ``channels_redis.pubsub.RedisPubSubChannelLayer``, also for consumers. It takes the same
    options, and differs in that

    - idle connections stay open (``socket_timeout=None``), are kept alive and are found dead by TCP keep-alive,
    - connecting is bounded (``socket_connect_timeout=5`` seconds),
    - subscribing waits until Redis has confirmed it, so that nothing published afterwards is missed,
    - waiting costs no polling, and a lost connection is made again with all its subscriptions.

    Args:
        hosts: as in channels-redis: URLs, ``(host, port)`` pairs, or dicts for redis-py, which override the defaults.
        prefix: of every Redis channel's name.
        symmetric_encryption_keys, serializer_format: as in channels-redis.

    Not guaranteed: what is published while a process is cut off from Redis does not reach it (at most once).
    """

    #: For each host, unless it says otherwise.
    host_defaults: Mapping[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "max_connections": 5000,
    }

    def __init__(self, hosts: Any = None, prefix: str = "asgi", **kwargs: Any) -> None:
        safe = [{**self._defaults_for(host), **host} for host in decode_hosts(hosts)]
        super().__init__(hosts=safe, prefix=prefix, **kwargs)

    def _defaults_for(self, host: Mapping[str, Any]) -> dict[str, Any]:
        defaults = dict(self.host_defaults)
        if str(host.get("address", host.get("path", ""))).startswith(("unix:", "/")):
            # redis-py's connection over a Unix socket does not know these.
            del defaults["socket_keepalive"]
        return defaults

    def _get_layer(self) -> _LoopLayer:
        loop = asyncio.get_running_loop()
        layer: _LoopLayer | None = self._layers.get(loop)
        if layer is None:
            layer = self._layers[loop] = _LoopLayer(*self._args, **self._kwargs, channel_layer=self)
            _wrap_close(self, loop)
        return layer


class _LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """The layer of one event loop: groups go to listeners, without a queue between."""

    def __init__(self, hosts: Any = None, **kwargs: Any) -> None:
        super().__init__(hosts=hosts, **kwargs)
        self._shards = [_Shard(host, self) for host in decode_hosts(hosts)]
        self.listeners: dict[str, Deliver] = {}

    async def listen(self, group: str, deliver: Deliver) -> None:
        """Call ``deliver`` with every message of a group; returns once Redis has confirmed the subscription."""
        name = self._get_group_channel_name(group)
        self.listeners[name] = deliver
        try:
            await self._get_shard(name).subscribe(name)
        except BaseException:
            self.listeners.pop(name, None)
            raise

    async def unlisten(self, group: str) -> None:
        """Stop what ``listen`` began."""
        name = self._get_group_channel_name(group)
        self.listeners.pop(name, None)
        if name not in self.groups:
            await self._get_shard(name).unsubscribe(name)

    async def group_discard(self, group: str, channel: str) -> None:
        name = self._get_group_channel_name(group)
        if name in self.listeners and self.groups.get(name) == {channel}:
            del self.groups[name]  # a listener still needs the subscription
            return
        await super().group_discard(group, channel)

    async def flush(self) -> None:
        self.listeners.clear()
        await super().flush()


class _Shard(RedisSingleShardConnection):  # type: ignore[misc]
    """The connections to one Redis: one that publishes, one that is subscribed."""

    _LONGEST_PAUSE = 1.0  # seconds between two attempts to reach Redis

    def __init__(self, host: dict[str, Any], layer: _LoopLayer) -> None:
        super().__init__(host, layer)
        self._waiting: dict[str, list[asyncio.Future[None]]] = {}
        self._abandoned: asyncio.Future[None] | None = None
        self._saw_garbage = False

    async def publish(self, channel: str, message: bytes) -> None:
        try:
            await super().publish(channel, message)
        except RedisConnectionError:
            # The connection was closed while it was idle, as by a restart; redis-py has dropped it.
            await super().publish(channel, message)

    async def subscribe(self, channel: str) -> None:
        if channel in self._subscribed_to:
            return
        confirmed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(channel, []).append(confirmed)
        try:
            async with self._lock:
                self._ensure_redis()
                await self._pubsub.subscribe(channel)
                self._ensure_receiver()
            await confirmed
            self._subscribed_to.add(channel)
        except BaseException:
            self._forget(channel, confirmed)
            raise

    def _forget(self, channel: str, confirmed: asyncio.Future[None]) -> None:
        """A subscription was given up before it was confirmed: take it back, for Redis may have it all the same."""
        waiting = self._waiting.get(channel, [])
        if confirmed in waiting:
            waiting.remove(confirmed)
        if not waiting:
            self._waiting.pop(channel, None)
            if self._pubsub is not None and channel not in self._subscribed_to:
                self._abandoned = asyncio.ensure_future(self._take_back(channel))

    async def _take_back(self, channel: str) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(conf.publish_timeout_seconds):
                if channel not in self._waiting and channel not in self._subscribed_to:
                    await self.unsubscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        async with self._lock:
            self._subscribed_to.discard(channel)
            if self._pubsub is not None and channel.encode() in self._pubsub.channels:
                try:
                    await self._pubsub.unsubscribe(channel)
                except BaseException:
                    # Redis is away, and forgets. redis-py must, too, or it would subscribe again.
                    self._pubsub.channels.pop(channel.encode(), None)
                    raise

    async def _do_receiving(self) -> None:
        pause = 0.0
        while True:
            try:
                message = await self._pubsub.get_message(timeout=None)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not pause:
                    logger.warning("Lost the connection to Redis, and keep trying: %s", error)
                pause = min(self._LONGEST_PAUSE, pause * 2 or 0.05)
                await asyncio.sleep(pause)
                continue
            if pause:
                pause = 0.0
                logger.warning("Connected to Redis again")
            if message is not None:
                try:
                    self._receive_message(message)
                except Exception as error:
                    # Somebody else publishes here, or with other keys or another format.
                    if not self._saw_garbage:
                        self._saw_garbage = True
                        logger.warning("Ignoring what is no message of a channel layer: %s", error)

    def _receive_message(self, message: dict[str, Any]) -> None:
        kind, name = message["type"], message["channel"]
        name = name.decode() if isinstance(name, bytes) else name
        if kind == "subscribe":
            for confirmed in self._waiting.pop(name, ()):
                if not confirmed.done():
                    confirmed.set_result(None)
        elif kind == "message":
            deliver = self.channel_layer.listeners.get(name)
            if deliver is not None:
                deliver(self.channel_layer.channel_layer.deserialize(message["data"]))
            super()._receive_message(message)


# Subscribing


class Link:
    """What a hub subscribes through. It belongs to the event loop that made it.

    Args:
        deliver: called in that loop with every envelope of the groups subscribed to; must not raise.
    """

    #: Groups must be subscribed to again after so many seconds; None if never.
    refresh_seconds: float | None = None

    def __init__(self, deliver: Deliver) -> None:
        self.deliver = deliver

    async def subscribe(self, group: str) -> None:
        """Subscribe; returns when nothing that is published from now on is missed.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        raise NotImplementedError

    async def unsubscribe(self, group: str) -> None:
        """Unsubscribe.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Give back what the link holds, after its last group."""


class _LocalLink(Link):
    """The bus inside this process."""

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver)
        self._loop = asyncio.get_running_loop()

    async def subscribe(self, group: str) -> None:
        with _local_lock:
            _local.setdefault(group, {})[self] = self._loop

    async def unsubscribe(self, group: str) -> None:
        with _local_lock:
            links = _local.get(group, {})
            links.pop(self, None)
            if not links:
                _local.pop(group, None)


_local: dict[str, dict[_LocalLink, asyncio.AbstractEventLoop]] = {}
_local_lock = threading.Lock()


def _publish_locally(group: str, envelope: Envelope) -> None:
    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    with _local_lock:
        links = list(_local.get(group, {}).items())
    for subscriber, loop in links:
        if loop is here:
            subscriber.deliver(envelope)
            continue
        try:
            loop.call_soon_threadsafe(subscriber.deliver, envelope)
        except RuntimeError:  # that loop was closed with members in the room
            with _local_lock:
                _local.get(group, {}).pop(subscriber, None)


class _RedisLink(Link):
    """A subscription of ``RedisChannelLayer``'s own."""

    def __init__(self, deliver: Deliver, layer: RedisChannelLayer) -> None:
        super().__init__(deliver)
        self._layer = layer

    async def subscribe(self, group: str) -> None:
        async with _translated("join a room"):
            await self._layer._get_layer().listen(group, self.deliver)

    async def unsubscribe(self, group: str) -> None:
        async with _translated("leave a room"):
            await self._layer._get_layer().unlisten(group)


class _ChannelLink(Link):
    """One channel of a layer that knows only channels and groups."""

    _LONGEST_PAUSE = 1.0  # seconds between two attempts to receive

    def __init__(self, deliver: Deliver, layer: Any) -> None:
        super().__init__(deliver)
        self._layer = layer
        self._channel: str | None = None
        self._opening = asyncio.Lock()
        self._receiver: asyncio.Task[None] | None = None
        self._groups: set[str] = set()
        self._probes: dict[str, asyncio.Future[None]] = {}
        # Members of a group expire in layers that store them, however alive they are.
        expiry = getattr(layer, "group_expiry", None)
        self.refresh_seconds = expiry / 2 if expiry else None

    async def subscribe(self, group: str) -> None:
        async with _translated("join a room"):
            async with self._opening:
                if self._channel is None:
                    self._channel = await self._layer.new_channel()
                    self._receiver = asyncio.get_running_loop().create_task(self._receive(self._channel))
            await self._layer.group_add(group, self._channel)
            if isinstance(self._layer, RedisPubSubChannelLayer):
                await self._confirm(group)
            self._groups.add(group)

    async def unsubscribe(self, group: str) -> None:
        self._groups.discard(group)
        if self._channel is not None:
            async with _translated("leave a room"):
                await self._layer.group_discard(group, self._channel)

    async def close(self) -> None:
        receiver, self._receiver, self._channel = self._receiver, None, None
        if receiver is not None:
            receiver.cancel()
            await asyncio.gather(receiver, return_exceptions=True)

    async def _confirm(self, group: str) -> None:
        """Wait for a message of our own: channels-redis does not wait for Redis to confirm a subscription."""
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

    async def _receive(self, channel: str) -> None:
        is_lost, pause = False, 0.0
        while True:
            try:
                if is_lost:
                    await self._rejoin(channel)
                    is_lost, pause = False, 0.0
                    logger.warning("The channel layer is back")
                message = await self._layer.receive(channel)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if isinstance(error, TimeoutError) or _is_timeout(error):
                    continue  # redis-py 8 times out idle reads; a check tells how to stop that
                if not is_lost:
                    is_lost = True
                    logger.warning("Lost the channel layer, and keep trying: %s", error)
                pause = min(self._LONGEST_PAUSE, pause * 2 or 0.05)
                await asyncio.sleep(pause)
                continue
            if message.get("type") == _PROBE:
                heard = self._probes.get(message.get("probe", ""))
                if heard is not None and not heard.done():
                    heard.set_result(None)
            else:
                self.deliver(message)

    async def _rejoin(self, channel: str) -> None:
        """A restarted Redis has forgotten the groups."""
        for group in list(self._groups):
            await self._layer.group_add(group, channel)


def link(deliver: Deliver) -> Link:
    """A link of the running event loop to the default channel layer."""
    layer = get_channel_layer()
    if _is_local(layer):
        return _LocalLink(deliver)
    if isinstance(layer, RedisChannelLayer):
        return _RedisLink(deliver, layer)
    return _ChannelLink(deliver, layer)


def _is_local(layer: Any) -> bool:
    # A subclass may well mean to see what passes, so it is treated as any other layer.
    return layer is None or type(layer) is InMemoryChannelLayer


# Publishing


async def apublish(group: str, envelope: Envelope) -> None:
    """Publish to every process that subscribed to the group.

    Raises:
        WebSocketConnectionError: the layer cannot be reached within ``FASTWS_PUBLISH_TIMEOUT_SECONDS``.
    """
    layer = get_channel_layer()
    if _is_local(layer):
        _publish_locally(group, envelope)
        await asyncio.sleep(0)  # so that whoever publishes in a loop lets the sockets be written
        return
    async with _translated("broadcast"):
        await layer.group_send(group, dict(envelope))


def publish(group: str, envelope: Envelope) -> None:
    """Publish from a thread without an event loop, through one loop and connection for the whole process.

    Raises:
        WebSocketConnectionError: the layer cannot be reached within ``FASTWS_PUBLISH_TIMEOUT_SECONDS``.
    """
    if _is_local(get_channel_layer()):
        _publish_locally(group, envelope)
    else:
        _bridge().run(apublish(group, envelope))


def has_redis() -> bool:
    """Whether the default layer has a Redis."""
    return bool(_redis_hosts())


def redis_client() -> Any:
    """An asyncio client of redis-py for the first Redis of the default layer, for what is no message.

    Returns:
        A client, whose pool is the caller's to close; None if the layer has no Redis.
    """
    hosts = _redis_hosts()
    return aioredis.Redis(connection_pool=create_pool(hosts[0])) if hosts else None


def _redis_hosts() -> list[dict[str, Any]]:
    layer = get_channel_layer()
    if isinstance(layer, RedisPubSubChannelLayer):
        return list(decode_hosts(layer._kwargs.get("hosts")))
    return list(layer.hosts) if isinstance(layer, CoreLayer) else []


@contextlib.asynccontextmanager
async def _translated(doing: str) -> AsyncIterator[None]:
    """Bound the time, and turn the errors of the layer's library into ours."""
    seconds = conf.publish_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            yield
    except WebSocketError:
        raise
    except TimeoutError as error:
        raise WebSocketConnectionError(
            f"cannot {doing}: the channel layer did not answer within {seconds:g} seconds"
        ) from error
    except Exception as error:
        if isinstance(error, OSError) or _is_redis_error(error) or _comes_from_redis(error):
            raise WebSocketConnectionError(f"cannot {doing}: the channel layer is out of reach: {error}") from error
        raise


def _is_redis_error(error: BaseException) -> bool:
    return any(cls.__module__.startswith("redis.") for cls in type(error).__mro__)


def _comes_from_redis(error: BaseException) -> bool:
    """Whether redis-py stumbled over a connection that broke under it."""
    traceback, module = error.__traceback__, ""
    while traceback is not None:
        module = traceback.tb_frame.f_globals.get("__name__", "")
        traceback = traceback.tb_next
    return module.startswith("redis.")


def _is_timeout(error: BaseException) -> bool:
    return _is_redis_error(error) and type(error).__name__ == "TimeoutError"


class _Bridge:
    """A thread with an event loop, for publishing from code that has none. One for each process."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="django_fastws publisher", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the loop and wait for the end."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result()
        except concurrent.futures.CancelledError as error:
            raise WebSocketConnectionError("cannot broadcast: the process is stopping") from error

    def stop(self) -> None:
        """Close the connections and end the thread."""
        if self.pid != os.getpid() or self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=2)
        if not self._thread.is_alive():
            self._loop.close()  # channels-redis closes its connections of this loop here


_the_bridge: _Bridge | None = None
_bridge_lock = threading.Lock()


def _bridge() -> _Bridge:
    global _the_bridge
    with _bridge_lock:
        # A forked child has its parent's object, but not its thread.
        if _the_bridge is None or _the_bridge.pid != os.getpid():
            _the_bridge = _Bridge()
        return _the_bridge


def _after_fork() -> None:
    global _bridge_lock, _local_lock
    _bridge_lock, _local_lock = threading.Lock(), threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
