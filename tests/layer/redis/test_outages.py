"""Redis goes away: killed, started again empty, paused, cut off, slow; and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_fastws import Room, WebSocketConnectionError
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.messages import Payload
from django_fastws.layer import LayerStatus, RedisChannelLayer, check_layer, layer_status
from django_fastws.layer.redis import blocking
from django_fastws.layer.redis.publisher import RedisPublisher
from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from django_fastws.rooms.hub import current_hub
from django_fastws.signals import layer_lost, layer_restored
from django_fastws.testing import connect as connect_inside
from tests.conftest import check_log, layer_config
from tests.e2e.test_rooms import member, subscriptions, tell
from tests.layer.test_layers import attempt
from tests.rooms.test_on_commit import get
from tests.site.client import LIMIT, Client, token, until
from tests.support import redis_binary
from tests.support.processes import HOST, ASGIServer, Process, RedisServer, free_port, stopped
from tests.support.proxy import Proxy
from tests.support.tcp import tcp_server

pytestmark = [pytest.mark.faults, pytest.mark.redis, pytest.mark.server]

LOST, BACK = "Lost the channel layer", "The channel layer is back after "

# ── Two servers and their members ───────────────────────────────────────────────────────────────────────────────────


class Site:
    """A Redis behind a proxy, and two servers that know only the proxy."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.redis: RedisServer = stack.enter_context(RedisServer())
        self.proxy = stack.enter_context(Proxy(self.redis.port))
        layer = {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [self.proxy.url], "prefix": token()},
        }
        self.servers = [stack.enter_context(ASGIServer(kind, layer=layer)) for kind in ("daphne", "uvicorn")]
        self._seen = dict.fromkeys(self.servers, 0)

    @contextlib.contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        self._seen = {server: server.log_size() for server in self.servers}
        if kind == "killed":
            self.redis.stop(signal.SIGKILL)
            yield
            self.redis.start()
        elif kind == "paused":
            with stopped(self.redis):
                yield
        else:
            if kind == "cut":
                self.proxy.cut()
            elif kind == "silent":
                self.proxy.is_frozen = True
            elif kind == "slow":
                self.proxy.delay = 0.2
            yield
            self.proxy.restore()

    def logs(self) -> list[str]:
        """What the servers have logged since the fault began."""
        return [server.log(self._seen[server]) for server in self.servers]

    async def is_noticed(self) -> bool:
        return all(LOST in log for log in self.logs())

    async def is_over(self) -> bool:
        return all(BACK in log for log in self.logs())


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        made = Site(stack)
        yield made
        for server in made.servers:
            print(f"── log of {server.kind}:", server.log()[-10_000:], sep="\n")
        for server in made.servers:
            check_log(server)


class Sender:
    """Broadcasts one number after another, and notes those that were taken."""

    def __init__(self, name: str, send: Any) -> None:
        self.name = name
        self._send = send
        self.taken: list[int] = []
        self.errors: list[str] = []
        self._task = asyncio.ensure_future(self._work())
        self._is_over = False

    async def _work(self) -> None:
        number = 0
        while not self._is_over:
            error = await self._send(f"{self.name} {number}")
            if error is None:
                self.taken.append(number)
            else:
                self.errors.append(error)
            number += 1
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._is_over = True
        await self._task


class Listener:
    """A member that notes all it gets."""

    def __init__(self, ws: Client) -> None:
        self.got: list[str] = []
        self._task = asyncio.ensure_future(self._work(ws))

    async def _work(self, ws: Client) -> None:
        async for text in ws:
            self.got.append(str(text))

    def of(self, sender: Sender) -> list[int]:
        return [int(text.split()[1]) for text in self.got if text.startswith(f"{sender.name} ")]


async def hear(listeners: list[Listener], senders: list[Sender], after: dict[Sender, int]) -> bool:
    """Whether each listener has something of each sender that was taken later than these counts."""
    return all(
        len(sender.taken) > after[sender] and sender.taken[after[sender]] in listener.of(sender)
        for listener in listeners
        for sender in senders
    )


@pytest.mark.parametrize("kind", ["killed", "paused", "cut", "silent"])
async def test_members_stay_and_nothing_that_was_taken_meanwhile_is_missing_or_comes_twice(site, kind):
    room = token()
    one, two = site.servers
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(member(server, room)) for server in (one, one, two)]
        listeners = [Listener(ws) for ws in sockets]
        asking = await stack.enter_async_context(member(one))

        async def from_thread(text: str) -> str | None:
            try:
                answer = await asyncio.to_thread(get, two, "/broadcast/", room=room, text=text)
            except OSError as error:
                return str(error)
            return None if answer == "done" else answer

        senders = [
            Sender("socket", lambda text: attempt(asking, "broadcast", room, text)),
            Sender("thread", from_thread),
        ]
        none_yet = dict.fromkeys(senders, 0)
        await until(lambda: hear(listeners, senders, none_yet), "hearing at first")
        with site.fault(kind):
            await until(site.is_noticed, "the loss in the logs", 4)
            before = {sender: len(sender.taken) for sender in senders}
            await asyncio.sleep(0.5)  # of being away
        returned = time.monotonic()
        await until(lambda: hear(listeners, senders, before), "hearing again", 5)
        await until(site.is_over, "the end in the logs", 5)
        print(f"{kind}: heard again after {time.monotonic() - returned:.2f} s")
        for sender in senders:
            await sender.stop()
            assert sender.errors == []
            assert sender.taken == list(range(len(sender.taken)))
        await tell(asking, "broadcast", room=room, data="last")
        await until(lambda: _all_have(listeners, "last"), "the last")
        for listener in listeners:
            for sender in senders:
                got = listener.of(sender)
                assert got == sorted(set(got)), "in order, and once"
                # What Redis took just before it went may be lost on the way back, if the way was cut.
                missing = set(sender.taken) - set(got)
                assert not missing or (kind in ("cut", "silent") and max(missing) <= before[sender])
        assert not any(ws.close_code for ws in sockets)
    for log in site.logs():
        assert log.count(LOST) == log.count(BACK) == 1
        (seconds,) = re.findall(BACK + r"([0-9.]+) seconds\n", log)
        assert 0.5 <= float(seconds) < 15


async def _all_have(listeners: list[Listener], text: str) -> bool:
    return all(text in listener.got for listener in listeners)


async def test_a_slow_redis_is_no_outage(site):
    room = token()
    one, two = site.servers
    async with member(one, room) as ada, member(two) as bob:
        with site.fault("slow"):
            for number in range(4):
                assert await attempt(bob, "broadcast", room, str(number)) is None
                assert await ada.recv() == str(number)
            assert await attempt(bob, "join", token()) is None
            await asyncio.gather(*(asyncio.to_thread(get, two, "/broadcast/", room=room, text="x") for _ in range(4)))
            assert [await ada.recv() for _ in range(4)] == ["x"] * 4
    assert not any(LOST in log for log in site.logs())


# ── Inside one process ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent Redis is noticed within a quarter of a second."""
    monkeypatch.setattr(ReconnectingConnection, "_HEARTBEAT_SECONDS", 0.05)


class Inside:
    """A layer of this process, and members of its rooms."""

    def __init__(self, settings: Any, *urls: Any, **config: Any) -> None:
        layer = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": list(urls), **config}}
        settings.CHANNEL_LAYERS = {"default": layer}
        self._stack = AsyncExitStack()

    async def member(self, room: str) -> Any:
        ws = await self._stack.enter_async_context(connect_inside(f"/ws/member?room={room}"))
        await ws.receive_json()
        return ws

    async def close(self) -> None:
        await self._stack.aclose()
        await get_channel_layer().flush()


@pytest.fixture
async def inside(settings: Any, own_redis: RedisServer) -> AsyncIterator[Inside]:
    made = Inside(settings, own_redis.url)
    yield made
    await made.close()


async def is_lost() -> bool:
    return not layer_status().is_reachable


async def is_reachable() -> bool:
    return layer_status().is_reachable


async def texts(ws: Any, count: int) -> list[str]:
    async with asyncio.timeout(LIMIT):
        return [await ws.receive_text() for _ in range(count)]


async def test_what_is_broadcast_meanwhile_is_held_and_comes_in_order(inside, own_redis):
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)
    calls = [asyncio.ensure_future(Room("r").abroadcast(f"{number}")) for number in range(200)]
    sync = asyncio.ensure_future(
        asyncio.to_thread(lambda: [Room("r").broadcast(f"sync {turn}") for turn in range(3)])
    )
    done, _ = await asyncio.wait([*calls, sync], timeout=0.3)
    assert not done
    own_redis.start()
    started = time.monotonic()
    await asyncio.gather(*calls, sync)
    assert time.monotonic() - started < 5
    got = await texts(ada, 203)
    assert [text for text in got if not text.startswith("sync")] == [f"{number}" for number in range(200)]
    assert [text for text in got if text.startswith("sync")] == [f"sync {turn}" for turn in range(3)]


async def test_it_is_held_for_so_long_and_no_longer(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.5
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
        started = time.monotonic()
        with pytest.raises(WebSocketConnectionError, match="cannot broadcast: the channel layer is out of reach"):
            await broadcast("x")
        assert 0.4 < time.monotonic() - started < 1.5
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0
    started = time.monotonic()
    for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
        with pytest.raises(WebSocketConnectionError, match="out of reach"):
            await broadcast("x")
    assert time.monotonic() - started < 0.3


async def test_what_was_given_up_is_not_sent_afterwards(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)
    with pytest.raises(WebSocketConnectionError):
        await Room("r").abroadcast("given up")
    cancelled = asyncio.ensure_future(Room("r").abroadcast("cancelled"))
    await asyncio.sleep(0)
    cancelled.cancel()
    own_redis.start()
    await until(is_reachable, "the return", 5)
    await Room("r").abroadcast("new")
    assert await ada.receive_text() == "new"


async def test_so_many_bytes_are_held_and_no_more(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 10_000
    ada = await inside.member("r")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)
    full = r"10[0-9]{3} bytes of broadcasts wait \(FASTWS_PUBLISH_RETRY_BYTES\)"

    held = [asyncio.ensure_future(Room("r").abroadcast("x" * 1000)) for _ in range(9)]
    await asyncio.sleep(0)
    with pytest.raises(WebSocketConnectionError, match=full):
        await Room("r").abroadcast("one too many")

    threads = [asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, "y" * 6_000)) for _ in range(4)]

    async def three_are_done() -> bool:
        return sum(task.done() for task in threads) == 3

    await until(three_are_done, "the refusals", 2)
    for task in threads:
        if task.done():
            assert re.search(r"6[0-9]{3} bytes of broadcasts wait", str(task.exception()))

    own_redis.start()
    await asyncio.gather(*held, *(task for task in threads if not task.done()))
    assert sorted(map(len, await texts(ada, 10))) == [1000] * 9 + [6000]


async def test_what_was_given_up_takes_no_room(inside, own_redis, settings):
    settings.FASTWS_PUBLISH_RETRY_BYTES = 10_000
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    for _ in range(3):
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            started = time.monotonic()
            with pytest.raises(WebSocketConnectionError) as caught:
                await broadcast("x" * 9_900)
            assert time.monotonic() - started > 0.15, "it was held"
            assert "FASTWS_PUBLISH_RETRY_BYTES" not in str(caught.value)


async def test_joining_waits_for_redis_too(inside, own_redis, settings):
    bob = await inside.member("other")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    await bob.send_json({"do": "try", "to": "join", "room": "late"})
    assert "cannot join a room: the channel layer is out of reach" in (await bob.receive_json())["done"]
    assert group_name("late") not in current_hub()._rooms

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
    await bob.send_json({"do": "join", "room": "r"})
    assert await bob.receive_nothing(0.2)
    own_redis.start()
    assert await bob.receive_json() == {"done": None}
    with redis.Redis.from_url(own_redis.url) as client:
        assert (subscriptions(client, "r"), subscriptions(client, "late")) == (1, 0)
    await Room("r").abroadcast("hello")
    await Room("other").abroadcast("hello")
    assert await texts(bob, 2) == ["hello"] * 2


async def test_a_room_can_be_left_meanwhile(inside, own_redis):
    ada = await inside.member("r")
    await inside.member("other")
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)
    started = time.monotonic()
    await ada.send_json({"do": "leave", "room": "r"})
    assert await ada.receive_json() == {"done": None}
    assert time.monotonic() - started < 1
    own_redis.start()
    await until(is_reachable, "the return", 5)
    with redis.Redis.from_url(own_redis.url) as client:
        assert (subscriptions(client, "r"), subscriptions(client, "other")) == (0, 1)


async def test_ten_thousand_rooms_are_subscribed_to_again(inside, own_redis):
    ada = await inside.member("r")
    layer = get_channel_layer().for_loop()
    await asyncio.gather(*(layer.listen(f"g{number}", lambda envelope: None) for number in range(10_000)))
    own_redis.stop(signal.SIGKILL)
    own_redis.start()
    await until(is_lost, "the loss", 1)
    await until(is_reachable, "the return", 5)
    with redis.Redis.from_url(own_redis.url) as client:
        assert len(client.pubsub_channels()) == 10_001
    await Room("r").abroadcast("hello")
    assert await ada.receive_text() == "hello"


@pytest.mark.parametrize("way", ["loop", "thread"])
async def test_what_redis_takes_late_is_not_missed_by_members_who_were_cut_off_meanwhile(
    inside, own_redis, quick, monkeypatch, way
):
    # Whoever publishes is more patient than whoever is subscribed, as when it has begun to wait later.
    monkeypatch.setattr(RedisPublisher, "_TIMEOUT_HEARTBEATS", 10_000)
    monkeypatch.setattr(blocking, "_LATE_SECONDS", 0.1)
    ada = await inside.member("r")
    for text in ("before", "late"):
        if way == "loop":
            call = asyncio.ensure_future(Room("r").abroadcast(text))
        else:
            call = asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, text))
        if text == "before":
            await call
            assert await ada.receive_text() == "before"
            pause = contextlib.ExitStack()
            pause.enter_context(stopped(own_redis))
    await until(is_lost, "the loss", 1)
    pause.close()
    await call
    assert await ada.receive_text() == "late"
    await until(is_reachable, "the return", 5)
    await Room("r").abroadcast("after")
    assert await ada.receive_text() == "after"


@pytest.mark.parametrize("way", ["loop", "thread"])
async def test_what_redis_has_taken_without_a_word_is_sent_again_and_heard_once(inside, own_redis, quick, way):
    ada = await inside.member("r")
    with Proxy(own_redis.port) as proxy:
        far = RedisChannelLayer(hosts=[proxy.url])

        async def broadcast(text: str) -> None:
            envelope = Envelope.broadcast(group_name("r"), Payload(text))
            if way == "loop":
                await far.for_loop().broadcast(envelope)
            else:
                await asyncio.to_thread(far.blocking.publish, envelope, far.serialize)

        await broadcast("0")
        assert await ada.receive_text() == "0"
        proxy.is_mute = True
        sent = asyncio.ensure_future(broadcast("1"))
        assert await ada.receive_text() == "1"
        assert not sent.done()
        taken = proxy.taken
        proxy.cut_once()
        proxy.is_mute = False
        await sent
        assert proxy.taken - taken > 100, "it was sent again"
        await broadcast("2")
        assert await ada.receive_text() == "2"
        await far.flush()
        far.blocking.close()


# ── What is noticed, and what is not ────────────────────────────────────────────────────────────────────────────────


async def test_a_redis_that_says_nothing_is_noticed_though_nobody_asks(inside, own_redis, caplog):
    await inside.member("r")
    with stopped(own_redis):
        started = time.monotonic()
        await until(is_lost, "the loss", 5)
        assert time.monotonic() - started < 3
    await until(is_reachable, "the return", 5)
    lost, back = [record.getMessage() for record in caplog.records]
    assert lost == f"{LOST}, and keep trying: Redis at {HOST}:{own_redis.port} does not answer"
    assert back.startswith(BACK)


async def test_a_redis_that_says_nothing_to_publishers_is_noticed(inside, own_redis, quick):
    await check_layer()
    with stopped(own_redis):
        sent = asyncio.ensure_future(Room("r").abroadcast("x"))
        await until(is_lost, "the loss", 2)
        assert layer_status().error == f"Redis at {HOST}:{own_redis.port} does not answer"
    await sent
    assert await is_reachable()


async def test_an_idle_process_keeps_asking_and_is_answered(inside, quick, caplog):
    await inside.member("r")
    await asyncio.sleep(1)  # twenty times as long as between two looks
    assert not caplog.records


async def test_a_loop_that_is_held_up_has_lost_nothing(inside, quick, caplog):
    ada = await inside.member("r")
    for _ in range(3):
        sent = asyncio.ensure_future(Room("r").abroadcast("hello"))
        await asyncio.sleep(0)
        time.sleep(0.5)  # five times what a silent Redis is allowed
        await sent
        assert await ada.receive_text() == "hello"
    assert not caplog.records


async def test_a_connection_that_redis_closes_because_it_is_idle_is_no_outage(inside, own_redis, caplog):
    ada = await inside.member("r")
    room = Room("r")
    with redis.Redis.from_url(own_redis.url) as client:
        for number in range(3):
            await room.abroadcast(f"loop {number}")
            await asyncio.to_thread(room.broadcast, f"thread {number}")
            assert client.client_kill_filter(_type="normal", skipme=True) >= 2
    assert await texts(ada, 6) == [f"{way} {number}" for number in range(3) for way in ("loop", "thread")]
    assert not caplog.records


async def test_a_subscription_that_redis_ends_is_made_again(inside, own_redis, caplog):
    ada = await inside.member("r")
    with redis.Redis.from_url(own_redis.url) as client:
        for number in range(3):
            assert client.client_kill_filter(_type="pubsub") == 1
            await until(lambda count=2 * number + 2: _are_logged(caplog, count), "the return", 5)
            await Room("r").abroadcast(str(number))
            assert await ada.receive_text() == str(number)
    assert len(caplog.records) == 6


async def _are_logged(caplog: pytest.LogCaptureFixture, count: int) -> bool:
    return len(caplog.records) >= count


async def test_while_nobody_here_can_hear_it_a_broadcast_is_held(inside, own_redis, monkeypatch):
    ada = await inside.member("r")
    await check_layer()
    (shard,) = get_channel_layer().for_loop()._shards
    may_connect, connect_again = asyncio.Event(), shard.subscriber._keep_connecting

    async def wait_first() -> None:
        await may_connect.wait()
        await connect_again()

    monkeypatch.setattr(shard.subscriber, "_keep_connecting", wait_first)
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.client_kill_filter(_type="pubsub") == 1
    await until(is_lost, "the loss", 1)
    sent = asyncio.ensure_future(Room("r").abroadcast("held"))
    done, _ = await asyncio.wait([sent], timeout=0.2)
    assert not done
    may_connect.set()
    await sent
    assert await ada.receive_text() == "held"


async def test_a_way_of_a_second_is_only_slow(settings, own_redis, caplog):
    with Proxy(own_redis.port) as proxy:
        proxy.delay = 0.5
        inside = Inside(settings, proxy.url)
        ada = await inside.member("r")
        assert ada
        await asyncio.gather(Room("r").abroadcast("x"), asyncio.to_thread(Room("r").broadcast, "x"))
        assert await texts(ada, 2) == ["x", "x"]
        proxy.restore()
        await inside.close()
    assert not caplog.records


async def test_what_is_no_redis_is_out_of_reach(settings):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    async with tcp_server(babble) as port:
        inside = Inside(settings, f"redis://{HOST}:{port}")
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            with pytest.raises(WebSocketConnectionError, match="cannot broadcast: the channel layer is out of reach"):
                await broadcast("x")
        await inside.close()


async def test_a_wrong_password_is_out_of_reach_and_is_not_told(settings, caplog):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    with RedisServer("--requirepass", "secret") as server:
        inside = Inside(settings, server.url.replace("//", "//:wr0ng@"))
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            with pytest.raises(WebSocketConnectionError, match="invalid username-password") as caught:
                await broadcast("x")
            assert "wr0ng" not in str(caught.value) + caplog.text
        await inside.close()


# ── Who is told ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Told(list[Any]):
    """Receivers of both signals, and what they were told."""

    def __enter__(self) -> Told:
        layer_lost.connect(self.lost)
        layer_lost.connect(self.alost)
        layer_lost.connect(self.failing)
        layer_restored.connect(self.restored)
        layer_restored.connect(self.arestored)
        return self

    def __exit__(self, *exc_info: object) -> None:
        layer_lost.disconnect(self.lost)
        layer_lost.disconnect(self.alost)
        layer_lost.disconnect(self.failing)
        layer_restored.disconnect(self.restored)
        layer_restored.disconnect(self.arestored)

    def lost(self, sender: type, error: Exception, **more: Any) -> None:
        self.append(("lost", sender, type(error), threading.current_thread()))

    async def alost(self, sender: type, error: Exception, **more: Any) -> None:
        self.append(("alost", sender, type(error), threading.current_thread()))

    def failing(self, **more: Any) -> None:
        raise ValueError("on purpose")

    def restored(self, sender: type, error: Exception, seconds: float, **more: Any) -> None:
        self.append(("restored", sender, type(error), threading.current_thread(), seconds))

    async def arestored(self, seconds: float, **more: Any) -> None:
        self.append(("arestored", seconds))
        await Room("r").abroadcast("we are back")

    async def have(self, count: int) -> bool:
        return len(self) >= count


async def test_receivers_are_told_once_from_a_loop(inside, own_redis, caplog):
    ada = await inside.member("r")
    await check_layer()
    with Told() as told:
        own_redis.stop(signal.SIGKILL)
        await until(lambda: told.have(2), "the news", 2)
        calls = [asyncio.ensure_future(Room("r").abroadcast("x")) for _ in range(5)]
        calls.append(asyncio.ensure_future(asyncio.to_thread(Room("r").broadcast, "x")))
        await asyncio.sleep(0.2)
        own_redis.start()
        await asyncio.gather(*calls)
        await until(lambda: told.have(4), "the good news", 5)
    here = threading.current_thread()
    by_name = {row[0]: row for row in told}
    assert len(by_name) == len(told) == 4
    assert by_name["lost"][1] is by_name["alost"][1] is by_name["restored"][1] is RedisChannelLayer
    assert by_name["lost"][2] is by_name["restored"][2] is ConnectionResetError
    assert by_name["lost"][3] is not here  # it may use the ORM
    assert by_name["alost"][3] is here
    assert 0.2 < by_name["restored"][4] == by_name["arestored"][1] < 6
    (record,) = [record for record in caplog.records if record.name == "django.dispatch"]
    assert str(record.exc_info[1]) == "on purpose"
    assert sorted(await texts(ada, 7)) == ["we are back", *["x"] * 6]


def test_receivers_are_told_once_from_threads(settings, own_redis, caplog):
    Inside(settings, own_redis.url)
    room = Room("r")
    room.broadcast("warm")
    with Told() as told:
        own_redis.stop(signal.SIGKILL)
        threads = [threading.Thread(target=room.broadcast, args=("x",)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(told) < 2:
            time.sleep(0.01)
        own_redis.start()
        for thread in threads:
            thread.join()
    kinds = [row[0] for row in told]
    assert (sorted(kinds[:2]), sorted(kinds[2:])) == (["alost", "lost"], ["arestored", "restored"])
    assert told[kinds.index("lost")][3] in threads
    logged = [record.getMessage() for record in caplog.records if record.name == "django_fastws.layer"]
    assert [text[: len(LOST)] for text in logged] == [LOST, BACK[: len(LOST)]]


async def test_a_failure_in_a_thread_is_over_when_the_loop_hears_redis(inside, own_redis, settings, quick):
    """Nobody broadcasts any more in that thread."""
    await inside.member("r")
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.1
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError):
        await asyncio.to_thread(Room("r").broadcast, "x")
    assert await is_lost()
    own_redis.start()
    await until(is_reachable, "the return", 5)


# ── The state, when asked ───────────────────────────────────────────────────────────────────────────────────────────


async def test_the_state_of_a_layer_inside_the_process(settings):
    for layers in ({}, {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}):
        settings.CHANNEL_LAYERS = layers
        assert layer_status() == LayerStatus(is_reachable=True, seconds=0.0, error="")
        await check_layer()


@pytest.mark.parametrize("name", ["ours", "pubsub", "core"])
async def test_the_state_of_a_layer_with_redis(settings, own_redis, name):
    settings.CHANNEL_LAYERS = {"default": layer_config(name, own_redis)}
    assert layer_status() == LayerStatus(is_reachable=True, seconds=0.0, error="")
    await check_layer()
    with stopped(own_redis):
        started = time.monotonic()
        with pytest.raises(WebSocketConnectionError, match=r"cannot check the channel layer: .* within 0\.3 seconds"):
            await check_layer(0.3)
        assert time.monotonic() - started < 1
    await check_layer()
    if name != "ours":
        return
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError, match="cannot check the channel layer"):
        await check_layer(0.3)
    status = layer_status()
    assert not status.is_reachable
    assert 0 < status.seconds < 2
    assert str(own_redis.port) in status.error
    assert await asyncio.to_thread(layer_status)  # in any thread
    own_redis.start()
    await until(is_reachable, "the return, with nobody who waits for it", 5)
    await check_layer()
    await get_channel_layer().flush()


async def test_the_check_asks_every_host(settings, own_redis, redis_server):
    inside = Inside(settings, redis_server.url, own_redis.url)
    await check_layer()
    own_redis.stop(signal.SIGKILL)
    with pytest.raises(WebSocketConnectionError, match="cannot check the channel layer"):
        await check_layer(0.3)
    await inside.close()


async def test_another_layers_outage_is_told_too(settings, own_redis):
    settings.CHANNEL_LAYERS = {"default": layer_config("core", own_redis)}
    with Told() as told:
        async with connect_inside("/ws/member?room=r") as ada:
            await ada.receive_json()
            own_redis.stop(signal.SIGKILL)
            await until(is_lost, "the loss", 5)
            own_redis.start()
            await until(is_reachable, "the return", 5)
            await until(lambda: told.have(4), "the news", 5)
    assert {row[0] for row in told} == {"lost", "alost", "restored", "arestored"}


# ── TLS, Sentinel, several hosts ────────────────────────────────────────────────────────────────────────────────────


async def test_one_host_of_two_is_away(settings, own_redis, redis_server):
    inside = Inside(settings, redis_server.url, own_redis.url, prefix=token())
    rooms = [f"r{number}" for number in range(12)]
    listeners = {room: await inside.member(room) for room in rooms}
    layer = get_channel_layer().for_loop()
    away = {
        room for room in rooms if layer._get_shard(f"{layer.prefix}__group__{group_name(room)}") is layer._shards[1]
    }
    assert 0 < len(away) < len(rooms)
    own_redis.stop(signal.SIGKILL)
    await until(is_lost, "the loss", 1)
    started = time.monotonic()
    for room in set(rooms) - away:
        await Room(room).abroadcast("loop")
        await asyncio.to_thread(Room(room).broadcast, "thread")
        assert await texts(listeners[room], 2) == ["loop", "thread"]
    assert time.monotonic() - started < 1
    held = [asyncio.ensure_future(Room(room).abroadcast("held")) for room in away]
    own_redis.start()
    await asyncio.gather(*held)
    for room in away:
        assert await listeners[room].receive_text() == "held"
    assert await is_reachable()
    await inside.close()


def certificate(directory: Path) -> tuple[str, str]:
    """The files of a certificate for this machine, which is its own authority, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "certificate.pem", directory / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_path), str(key_path)


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[tuple[RedisServer, int, str]]:
    """A Redis with a password and TLS, the port of the latter, and the authority's certificate."""
    certificate_path, key_path = certificate(tmp_path)
    port = free_port()
    files = ["--tls-cert-file", certificate_path, "--tls-key-file", key_path, "--tls-auth-clients", "no"]
    server = RedisServer("--requirepass", "secret", "--tls-port", str(port), *files)
    try:
        server.start()
    except RuntimeError as error:
        server.directory.cleanup()
        if "tls" in str(error).lower().rpartition("fatal config")[2]:
            pytest.skip("this redis-server was built without TLS")
        raise
    yield server, port, certificate_path
    server.stop()
    server.directory.cleanup()


async def test_tls_and_a_password(settings, tls_redis):
    server, port, authority = tls_redis
    url = f"rediss://:secret@{HOST}:{port}?ssl_ca_certs={authority}"
    inside = Inside(settings, url)
    ada = await inside.member("r")
    big = "x" * 500_000
    for _ in (1, 2):
        await asyncio.gather(*(Room("r").abroadcast(f"{number}") for number in range(20)), Room("r").abroadcast(big))
        await asyncio.to_thread(Room("r").broadcast, big)
        assert await texts(ada, 22) == [*(f"{number}" for number in range(20)), big, big]
        await check_layer()
        server.stop(signal.SIGKILL)
        await until(is_lost, "the loss", 1)
        server.start()
        await until(is_reachable, "the return", 5)
    await inside.close()
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    stranger = Inside(settings, f"rediss://:secret@{HOST}:{port}")
    for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
        with pytest.raises(WebSocketConnectionError, match="certificate verify failed"):
            await broadcast("x")
    await stranger.close()


class Sentinel(Process):
    """Watches a Redis that is called "main"."""

    def __init__(self, master: RedisServer, directory: Path) -> None:
        binary, port = redis_binary.find(), free_port()
        settings = directory / "sentinel.conf"
        settings.write_text(
            f"port {port}\nbind {HOST}\ndir {directory}\n"
            f"sentinel monitor main {HOST} {master.port} 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n"
        )
        super().__init__([str(binary), str(settings), "--sentinel"], port)


async def test_sentinel_names_another_master(settings, tmp_path):
    with (
        RedisServer() as master,
        RedisServer("--replicaof", HOST, str(master.port)) as replica,
        Sentinel(master, tmp_path) as sentinel,
        redis.Redis(HOST, sentinel.port) as client,
    ):

        async def knows_the_replica() -> bool:
            return [row["master-link-status"] for row in client.sentinel_slaves("main")] == ["ok"]

        await until(knows_the_replica, "the sentinel's knowledge")
        host = {"sentinels": [(HOST, sentinel.port)], "master_name": "main"}
        inside = Inside(settings, host)
        ada = await inside.member("r")
        await Room("r").abroadcast("loop")
        await asyncio.to_thread(Room("r").broadcast, "thread")
        assert await texts(ada, 2) == ["loop", "thread"]
        master.stop(signal.SIGKILL)
        await until(is_lost, "the loss", 1)
        assert layer_status().error == "Redis at main has closed the connection"
        await asyncio.gather(Room("r").abroadcast("held"), asyncio.to_thread(Room("r").broadcast, "held"))
        assert await texts(ada, 2) == ["held"] * 2
        with redis.Redis(HOST, replica.port) as successor:
            assert subscriptions(successor, "r") == 1
        await inside.close()
