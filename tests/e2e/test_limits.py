"""Limits, rules and disconnect() on real servers, with clients that behave and clients that do not."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import Database, layer_config
from tests.site.client import LIMIT, abort, connect, denial, report, token, until
from tests.support.processes import HOST, ASGIServer, RedisServer
from tests.support.scripts import run

pytestmark = pytest.mark.server

KNOWN = ["daphne", "runws_server", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"]
PLAIN = ["hypercorn", "granian"]

on_known_servers = pytest.mark.parametrize("kind", KNOWN)
on_all_servers = pytest.mark.parametrize("kind", KNOWN + PLAIN)

ENDS = {
    "idle": (1008, "idle for too long"),
    "lifetime": (1013, "the lifetime is over, connect again"),
    "rate": (1008, "over the rate of 1/h burst 3 messages"),
    "size": (1009, "over 1000 bytes"),
}


@pytest.fixture
def server(site: Callable[..., ASGIServer], kind: str) -> ASGIServer:
    return site(kind)


def request(server: ASGIServer, path: str, cookie: str = "") -> tuple[str, str]:
    """GET a page: its text, and the session cookie that it set."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=LIMIT)
    connection.request("GET", path, headers={"Cookie": cookie} if cookie else {})
    response = connection.getresponse()
    text = response.read().decode()
    assert response.status == 200, text
    connection.close()
    return text, (response.getheader("Set-Cookie") or "").partition(";")[0]


async def get(server: ASGIServer, path: str, cookie: str = "") -> str:
    return (await asyncio.to_thread(request, server, path, cookie))[0]


async def log_in(server: ASGIServer, name: str) -> tuple[str, str]:
    """The primary key of a user, and the cookie of a new session."""
    return await asyncio.to_thread(request, server, f"/login/?name={name}")


async def numbers(server: ASGIServer) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await get(server, "/statistics/"))
    return told


async def is_empty(server: ASGIServer) -> bool:
    told = await numbers(server)
    return told["connections"] == told["users"] == 0


def with_cookie(cookie: str) -> dict[str, Any]:
    return {"additional_headers": {"Cookie": cookie}}


# ── Over a limit ────────────────────────────────────────────────────────────────────────────────────────────────────


@on_all_servers
@pytest.mark.parametrize("limit", ENDS)
@pytest.mark.parametrize("handler", ["", "consumer/"], ids=["function", "consumer"])
async def test_over_a_limit_both_ends_are_told(server, handler, limit):
    name = token()
    async with connect(server, f"/ws/limited/{handler}{limit}/{name}") as ws:
        assert await ws.recv() == "ready"
        for number in range(2):
            await ws.send(str(number))
        if limit == "rate":
            # Hypercorn cuts who sends after its close frame, and what it has sent is lost by that.
            for number in range(2, 4 if server.kind == "hypercorn" else 8):
                await ws.send(str(number))
        elif limit == "size":
            await ws.send("x" * 1001)
        assert await ws.closed() == ENDS[limit]
    told = await report(server, name)
    assert told["got"] == (["0", "1", "2"] if limit == "rate" else ["0", "1"])
    assert told["raised"][0] == ENDS[limit][0]
    if not handler:
        assert told["raised"] == told["closed"] == [*ENDS[limit]]
    await until(lambda: is_empty(server), "that nobody is counted any more")


@on_known_servers
@pytest.mark.parametrize("limit", ["idle", "lifetime", "rate"])
async def test_a_client_that_does_not_answer_the_close_is_rid_of_and_not_heard(server, limit):
    name = token()
    reader, writer = await open_raw(server, f"/ws/limited/{limit}/{name}")
    for number in range(2):
        writer.write(frame(str(number)))
    if limit == "rate":
        writer.write(frame("2") + frame("3"))
    await until_close_frame(reader)
    # From here on it sends messages without end, and no close frame.
    sending = asyncio.create_task(flood(writer))
    told = await report(server, name)
    assert told["raised"] == [*ENDS[limit]]
    assert told["got"] == ["0", "1", "2"][: 3 if limit == "rate" else 2]
    await until(lambda: is_empty(server), "that nobody is counted any more")
    if server.kind == "daphne" and limit == "idle":
        async with asyncio.timeout(LIMIT + 5):  # as runws_server: ten seconds, whatever the limit
            await sending
    sending.cancel()
    writer.transport.abort()


@on_known_servers
async def test_a_client_that_does_not_read_is_rid_of(server):
    pk, cookie = await log_in(server, "eve")
    name = token()
    _, writer = await open_raw(server, f"/ws/limited/pour/{name}", cookie, limit=1024)
    writer.transport.pause_reading()
    await report(server, f"{name} is full")
    await get(server, f"/kick/?pk={pk}")
    assert (await report(server, name))["raised"] == [4404, "kicked"]
    await until(lambda: is_empty(server), "that nobody is counted any more")
    writer.transport.abort()


async def open_raw(
    server: ASGIServer, path: str, cookie: str = "", limit: int = 65536
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A handshake by hand, for clients that do what no library does."""
    reader, writer = await asyncio.open_connection(HOST, server.port, limit=limit)
    head = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    head += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    writer.write(f"{head}{f'Cookie: {cookie}' if cookie else 'X-No: cookie'}\r\n\r\n".encode())
    async with asyncio.timeout(LIMIT):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 101 " in answer
    return reader, writer


def frame(text: str) -> bytes:
    """A masked text frame, the mask being zero (RFC 6455 section 5.2)."""
    return bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text.encode()


async def until_close_frame(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            first, size = await reader.readexactly(2)
            await reader.readexactly(size)
            if first == 0x88:
                return


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send until the connection is gone."""
    try:
        while not writer.is_closing():
            writer.write(frame("more"))
            await writer.drain()
            await asyncio.sleep(0.01)
    except OSError:
        pass


# ── Denials ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_known_servers
async def test_a_denial_has_its_status_and_its_text(server):
    name = token()
    assert await denial(server, f"/ws/limited/user/{name}") == (401, b"log in first")
    assert await denial(server, f"/ws/limited/consumer/user/{name}") == (401, b"log in first")
    assert await denial(server, "/ws/limited/rule/out") == (403, b"permission denied")
    async with connect(server, "/ws/limited/rule/in"):
        pass
    async with connect(server, "/ws/limited/few"), connect(server, "/ws/limited/few"):
        assert await denial(server, "/ws/limited/few") == (429, b"too many connections")
    await until(lambda: is_empty(server), "that nobody is counted any more")


@on_known_servers
async def test_a_denial_says_when_to_come_again(serve, kind):
    server = serve(kind, settings={"FASTWS_HANDSHAKE_RATE_PER_ADDRESS": "2/h", "FASTWS_MAX_CONNECTIONS": 100})
    for _ in range(2):
        async with connect(server, "/ws/echo"):
            pass
    import websockets

    with pytest.raises(websockets.InvalidStatus) as raised:
        async with connect(server, "/ws/echo"):
            pass
    assert raised.value.response.status_code == 429
    assert 1 < int(raised.value.response.headers["Retry-After"]) <= 1800
    assert await get(server, "/hello/") == "hello"


@on_known_servers
@pytest.mark.parametrize("how", ["close", "abort"])
async def test_whoever_goes_is_not_counted_any_more(server, how):
    for _ in range(3):
        async with AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(connect(server, "/ws/limited/few")) for _ in range(2)]
            assert (await denial(server, "/ws/limited/few"))[0] == 429
            for ws in sockets:
                await ws.close() if how == "close" else abort(ws)
            await until(lambda: is_empty(server), "that nobody is counted any more")


@on_known_servers
async def test_a_storm_of_handshakes_gets_exactly_what_there_is(server):
    async def attempt() -> int:
        try:
            ws = await stack.enter_async_context(connect(server, "/ws/limited/few"))
        except Exception as error:
            return error.response.status_code
        return ws.response.status_code

    async with AsyncExitStack() as stack:
        outcomes = await asyncio.gather(*(attempt() for _ in range(40)))
        assert sorted(set(outcomes)) == [101, 429]
        assert outcomes.count(101) == 2
    await until(lambda: is_empty(server), "that nobody is counted any more")


# ── Users, in two processes ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(
    params=[
        pytest.param(("daphne", "ours"), marks=pytest.mark.redis),
        pytest.param(("uvicorn", "ours"), marks=pytest.mark.redis),
        pytest.param(("daphne", "pubsub"), marks=pytest.mark.redis),
        pytest.param(("daphne", "core"), marks=pytest.mark.redis),
    ],
    ids="-".join,
)
def pair(site: Callable[..., ASGIServer], request: pytest.FixtureRequest) -> tuple[ASGIServer, ASGIServer, str]:
    """Two servers that share a Redis, and the name of their layer."""
    kind, layer = request.param
    return site(kind, layer=layer), site(kind, layer=layer, number=2), layer


async def sockets_of(stack: AsyncExitStack, servers: Any, cookie: str) -> list[tuple[Any, str]]:
    """A socket on each server, and the token of its handler."""
    opened = []
    for server in servers:
        name = token()
        ws = await stack.enter_async_context(connect(server, f"/ws/limited/user/{name}", **with_cookie(cookie)))
        assert await ws.recv() == "ready"
        opened.append((ws, name))
    return opened


async def test_a_user_is_disconnected_everywhere_from_a_view(pair):
    one, two, _ = pair
    eve, eves = await log_in(one, "eve")
    _, adams = await log_in(one, "adam")
    async with AsyncExitStack() as stack:
        sockets = await sockets_of(stack, (one, two), eves)
        others = await sockets_of(stack, (one, two), adams)
        assert (await numbers(one))["users"] == (await numbers(two))["users"] == 2
        await get(one, f"/kick/?pk={eve}")
        for server, (ws, name) in zip((one, two), sockets, strict=True):
            assert await ws.closed() == (4404, "kicked")
            assert (await report(server, name))["raised"] == [4404, "kicked"]
        for ws, _ in others:
            await ws.send("still here")
            await ws.ping()
    for server in (one, two):
        await until(lambda server=server: is_empty(server), "that nobody is counted any more")


async def test_a_user_is_disconnected_by_a_script(pair, redis_server: RedisServer, site_database: Database):
    one, two, layer = pair
    eve, cookie = await log_in(one, "eve")
    async with AsyncExitStack() as stack:
        sockets = await sockets_of(stack, (one, two), cookie)
        code = f"""
            from django_fastws import disconnect
            disconnect(user={eve}, code=4405, reason="by a script")
        """
        await run(code, layer_config(layer, redis_server), options=[])
        for ws, _ in sockets:
            assert await ws.closed() == (4405, "by a script")


async def test_a_log_out_closes_the_sockets_of_the_user_in_every_process(pair):
    one, two, _ = pair
    _, here = await log_in(one, "eve")
    _, elsewhere = await log_in(two, "eve")
    assert here != elsewhere
    async with AsyncExitStack() as stack:
        sockets = await sockets_of(stack, (one, two), here)
        others = await sockets_of(stack, (two,), elsewhere)
        await get(one, "/logout/", here)
        for ws, _ in sockets + others:
            assert await ws.closed() == (4401, "logged out")
        assert await denial(two, f"/ws/limited/user/{token()}", **with_cookie(here)) == (401, b"log in first")


async def test_the_first_socket_of_a_process_can_be_closed_as_soon_as_it_is_open(pair):
    one, two, _ = pair
    eve, cookie = await log_in(one, "eve")
    for _ in range(5):
        async with AsyncExitStack() as stack:
            ((ws, _),) = await sockets_of(stack, (two,), cookie)
            await get(one, f"/kick/?pk={eve}")
            assert await ws.closed() == (4404, "kicked")
        await until(lambda: is_empty(two), "that nobody is counted any more")


async def test_a_process_without_users_is_subscribed_to_nothing(pair, redis_server: RedisServer):
    import redis

    one, two, _ = pair
    client = redis.Redis.from_url(redis_server.url)

    def listening() -> int:
        channels = client.pubsub_channels("*fastws.c.users")
        subscribed = sum(count for _, count in client.pubsub_numsub(*channels)) if channels else 0
        return subscribed + sum(client.zcard(key) for key in client.keys("*fastws.c.users"))

    async def nobody() -> bool:
        return listening() == 0

    _, cookie = await log_in(one, "eve")
    await until(nobody, "that nobody listens")
    async with AsyncExitStack() as stack:
        await sockets_of(stack, (one, two, two), cookie)
        assert listening() == 2  # one for each process, not for each socket
        async with connect(one, "/ws/echo"):
            assert listening() == 2
    await until(nobody, "that nobody listens")
    client.close()


@pytest.mark.redis
async def test_a_server_that_stops_leaves_nothing_in_redis(
    serve: Callable[..., ASGIServer], redis_server: RedisServer, site_database: Database
):
    import redis

    layer = layer_config("core", redis_server, prefix=token())
    server = serve("runws_server", layer=layer, environment=site_database.environment)
    client = redis.Redis.from_url(redis_server.url)
    _, cookie = await log_in(server, "eve")
    async with AsyncExitStack() as stack:
        ((ws, _),) = await sockets_of(stack, (server,), cookie)
        (key,) = client.keys(f"{layer['CONFIG']['prefix']}*fastws.c.users")
        assert client.zcard(key) == 1
        await asyncio.to_thread(server.stop)
        assert (await ws.closed())[0] == 1012
    assert client.zcard(key) == 0
    client.close()


@on_known_servers
async def test_a_client_that_was_disconnected_and_goes_on_is_not_heard(server):
    eve, cookie = await log_in(server, "eve")
    name = token()
    reader, writer = await open_raw(server, f"/ws/limited/free/{name}", cookie)
    assert await reader.readexactly(7) == b"\x81\x05ready"
    writer.write(frame("hello"))
    sending = asyncio.create_task(flood(writer))
    await get(server, f"/kick/?pk={eve}")
    told = await report(server, name)
    assert told["raised"] == told["closed"] == [4404, "kicked"]
    await until(lambda: is_empty(server), "that nobody is counted any more")
    if server.kind == "runws_server":
        async with asyncio.timeout(LIMIT + 5):  # it waits for ten seconds
            await sending
    sending.cancel()
    writer.transport.abort()
