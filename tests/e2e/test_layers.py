"""Channel layers that fail and come back: Redis killed, started again, silent, idle."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis
from channels.layers import InMemoryChannelLayer, get_channel_layer

from django_fastws.testing import connect as connect_inside
from tests.conftest import check_log, layer_config
from tests.e2e.test_rooms import member, nobody_is_left, subscriptions, tell
from tests.site.client import LIMIT, Client, connect, token, until
from tests.support.processes import ASGIServer, RedisServer, stopped

pytestmark = [pytest.mark.server, pytest.mark.redis]

LAYERS = ["ours", "pubsub", "core"]
TIMEOUT = {"FASTWS_PUBLISH_TIMEOUT_SECONDS": 1, "FASTWS_PUBLISH_RETRY_SECONDS": 1}


def start(serve: Callable[..., ASGIServer], layer: str, own_redis: RedisServer, kind: str = "daphne") -> ASGIServer:
    return serve(kind, layer=layer_config(layer, own_redis), settings=TIMEOUT)


async def attempt(ws: Client, to: str, room: str, data: str = "") -> str | None:
    """Have a member do something that may fail; returns the error, and passes over what it gets meanwhile."""
    await ws.send_json({"do": "try", "to": to, "room": room, "data": data})
    while not (text := await ws.recv()).startswith("{"):
        pass
    error: str | None = json.loads(text)["done"]
    return error


async def works(sender: Client, receivers: list[Client], room: str, seconds: float = 0.3) -> bool:
    """Whether a broadcast reaches them; what came of earlier tries is passed over."""
    data = token()
    if await attempt(sender, "broadcast", room, data) is not None:
        return False
    for ws in receivers:
        try:
            async with asyncio.timeout(seconds):
                while await ws.recv() != data:
                    pass
        except TimeoutError:
            return False
    return True


@pytest.mark.parametrize("layer", LAYERS)
async def test_members_stay_and_hear_again_after_redis_was_killed_and_started_again(serve, layer, own_redis):
    servers = [start(serve, layer, own_redis, kind) for kind in ("daphne", "uvicorn")]
    room = "größe"
    async with AsyncExitStack() as stack:
        ada, bob = [await stack.enter_async_context(member(server, room)) for server in servers]
        sender = await stack.enter_async_context(member(servers[0]))
        assert await works(sender, [ada, bob], room, LIMIT)
        for turn in (1, 2):
            own_redis.stop(signal.SIGKILL)
            started = time.monotonic()
            assert "cannot broadcast: the channel layer" in (await attempt(sender, "broadcast", room) or "")
            assert "cannot join a room: the channel layer" in (await attempt(sender, "join", "new") or "")
            assert time.monotonic() - started < 2 * TIMEOUT["FASTWS_PUBLISH_TIMEOUT_SECONDS"] + 6
            for server in servers:
                await until(
                    lambda at=server, times=turn: logged(at, "Lost the channel layer", times), "the loss in the log"
                )
            own_redis.start()
            await until(lambda: works(sender, [ada, bob], room), "hearing again")
            await tell(sender, "join", room=f"new {turn}")
            await until(lambda turn=turn: works(bob, [sender], f"new {turn}"), "a new room")
        with redis.Redis.from_url(own_redis.url) as client:
            assert subscriptions(client, room) == 2
    for server in servers:
        await nobody_is_left(server, room)
        log = server.log()
        if layer == "ours":  # channels-redis logs tracebacks of its own
            check_log(server)
        lost, back = log.count("Lost the channel layer"), log.count("The channel layer is back after ")
        if layer == "ours":
            assert (lost, back) == (2, 2)
        elif layer == "core":  # each of its connections may notice by itself
            assert lost == back >= 2


async def logged(server: ASGIServer, text: str, times: int) -> bool:
    return server.log().count(text) >= times or "Unexpected exception in receive task" in server.log()


@pytest.mark.parametrize("layer", ["ours", "core"])
async def test_a_silent_redis_costs_a_bounded_time_and_is_forgiven(serve, layer, own_redis):
    server = start(serve, layer, own_redis)
    room = token()
    async with member(server, room) as ada, member(server) as sender:
        assert await works(sender, [ada], room, LIMIT)
        with stopped(own_redis):
            for to in ("broadcast", "join"):
                started = time.monotonic()
                error = await attempt(sender, to, "other" if to == "join" else room)
                assert "the channel layer did not answer within 1 seconds" in (error or "") or (
                    # which was noticed meanwhile
                    layer == "ours" and "the channel layer is out of reach: Redis at" in (error or "")
                )
                assert time.monotonic() - started < 8
        await until(lambda: works(sender, [ada], room), "hearing again")
    if layer == "ours":
        check_log(server)


@pytest.mark.parametrize("layer", ["ours", "pubsub"])
async def test_members_may_leave_and_come_while_redis_is_away(serve, layer, own_redis):
    server = start(serve, layer, own_redis)
    room, other = token(), token()
    async with member(server, room) as bob:
        async with member(server, room, other) as ada:
            assert await works(bob, [ada], room, LIMIT)
            own_redis.stop(signal.SIGKILL)
            await until(lambda: logged(server, "Lost the channel layer", 1), "the loss in the log")
            await tell(ada, "leave", room=other)
        own_redis.start()
        await nobody_is_left(server, other)
        async with member(server) as carol:

            async def joined() -> bool:
                return await attempt(carol, "join", other) is None

            await until(joined, "joining a room that was left meanwhile")
            await until(lambda: works(bob, [carol], other), "a room that was left meanwhile")
            await until(lambda: works(carol, [bob], room), "a member that stayed")
    await nobody_is_left(server, room)


async def test_a_room_that_was_left_while_redis_was_away_is_not_subscribed_to_afterwards(serve, own_redis):
    server = start(serve, "ours", own_redis)
    left, kept = token(), token()
    async with member(server, kept) as ada:
        async with member(server, left):
            own_redis.stop(signal.SIGKILL)
        await nobody_is_left(server, left)
        own_redis.start()
        await until(lambda: works(ada, [], kept), "hearing again")
        with redis.Redis.from_url(own_redis.url) as client:

            async def is_back() -> bool:
                return subscriptions(client, kept) == 1

            await until(is_back, "the subscription")
            assert subscriptions(client, left) == 0


@pytest.mark.slow
async def test_idle_members_hear_after_longer_than_the_default_timeout_of_redis_py(site):
    room = token()
    async with AsyncExitStack() as stack:
        pairs = []
        for layer in LAYERS:
            ada = await stack.enter_async_context(member(site("daphne", layer=layer), room))
            pairs.append((ada, await stack.enter_async_context(member(site("daphne", layer=layer, number=2)))))
        await asyncio.sleep(5.5)  # redis-py 8 gives up reading after 5
        for ada, sender in pairs:
            await tell(sender, "broadcast", room=room, data="hello")
            assert await ada.recv() == "hello"


async def test_a_process_uses_two_connections_to_redis_however_many_members_and_rooms_it_has(serve, own_redis):
    server = serve("daphne", layer=layer_config("ours", own_redis))
    with redis.Redis.from_url(own_redis.url) as client:

        def connections() -> int:
            return len(client.client_list()) - 1  # but this one

        before = connections()
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(member(server, f"r{number % 7}")) for number in range(30)]
            await asyncio.gather(*(tell(ws, "count", room="elsewhere", data=20, prefix="") for ws in sockets))
            assert connections() - before == 2


@pytest.mark.parametrize("layer", ["ours", "pubsub"])
async def test_what_is_published_by_others_on_a_rooms_channel_disturbs_nobody(site, layer, redis_server):
    server, room = site("daphne", layer=layer), token()
    async with member(server, room) as ada, member(server) as sender:
        with redis.Redis.from_url(redis_server.url) as client:
            (channel,) = client.pubsub_channels(f"*{room}")
            for garbage in (b"", b"\xc1", b"garbage", b"\x80", b"\x81\xa4type\x01"):
                assert client.publish(channel, garbage) == 1
        for number in range(3):
            await tell(sender, "broadcast", room=room, data=str(number))
        assert [await ada.recv() for _ in range(3)] == ["0", "1", "2"]


@pytest.mark.parametrize("layer", LAYERS)
async def test_consumers_of_channels_use_the_same_layer(site, layer):
    room = token()
    async with (
        connect(site("daphne", layer=layer), f"/ws/consumer/{room}") as ada,
        connect(site("daphne", layer=layer, number=2), f"/ws/consumer/{room}") as bob,
        member(site("daphne", layer=layer), room) as carol,
    ):
        assert [await ws.recv_json() for ws in (ada, bob)] == ["joined"] * 2
        for ws, said in ((ada, {"größe": 1}), (bob, [1])):
            await until(lambda ws=ws, said=said: heard(ws, said, [ada, bob]), "hearing")
        await tell(carol, "broadcast", room=room, data="for members alone", exclude_self=True)


async def heard(ws: Client, said: Any, by: list[Client]) -> bool:
    """Whether consumers hear it; channels-redis does not wait for a subscription, so the first may be missed."""
    await ws.send_json(said)
    try:
        async with asyncio.timeout(0.5):
            for listener in by:
                while await listener.recv_json() != said:
                    pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
async def test_a_server_that_stops_with_members_leaves_nothing_in_redis(serve, kind, own_redis):
    server = serve(kind, layer=layer_config("ours", own_redis))
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(member(server, f"r{number % 3}")) for number in range(20)]
        server.send_signal(signal.SIGTERM)
        for ws in sockets:
            await ws.closed()
        await asyncio.to_thread(server.stop)
    check_log(server)
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.pubsub_channels() == []


class ForgetfulLayer(InMemoryChannelLayer):
    """A layer that loses its groups, like the core Redis layer when Redis is started again.

    It fails once in ``receive``; then its groups are empty, and one more ``group_add`` fails.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.fail = asyncio.Event()
        self.failures = 0
        self.has_failed = asyncio.Event()

    async def receive(self, channel: str) -> Any:
        if self.fail.is_set():
            return await super().receive(channel)
        failing, message = asyncio.ensure_future(self.fail.wait()), asyncio.ensure_future(super().receive(channel))
        await asyncio.wait([failing, message], return_when=asyncio.FIRST_COMPLETED)
        if not self.fail.is_set():
            failing.cancel()
            return message.result()
        message.cancel()
        self.groups.clear()
        self.failures = 1
        raise ConnectionResetError

    async def group_add(self, group: str, channel: str) -> None:
        if self.failures:
            self.failures -= 1
            self.has_failed.set()
            raise ConnectionRefusedError
        await super().group_add(group, channel)


async def test_groups_are_joined_again_even_if_the_layer_comes_back_late(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.e2e.test_layers.ForgetfulLayer"}}
    layer: Any = get_channel_layer()
    async with connect_inside("/ws/member?room=r") as ada, connect_inside("/ws/member") as sender:
        assert "id" in await ada.receive_json()
        assert "id" in await sender.receive_json()
        layer.fail.set()
        await layer.has_failed.wait()

        async def hears() -> bool:
            await sender.send_json({"do": "broadcast", "room": "r", "data": "again"})
            await sender.receive_json()
            return not await ada.receive_nothing(0.05)

        await until(hears, "hearing again")
