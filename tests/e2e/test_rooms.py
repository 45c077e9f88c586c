"""Rooms on real servers: on every channel layer, in one process and across two."""

from __future__ import annotations

import asyncio
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import pytest
import redis
from django.utils.functional import lazystr

from django_fastws import Room
from django_fastws._core.groups import group_name
from django_fastws.testing import connect as connect_inside
from tests.site.client import Client, abort, connect, token, until
from tests.support.processes import HOST, ASGIServer, RedisServer

pytestmark = pytest.mark.server

REDIS_LAYERS = [pytest.param(layer, marks=pytest.mark.redis) for layer in ("ours", "pubsub", "core")]
LAYERS = [None, *REDIS_LAYERS, pytest.param("cluster", marks=pytest.mark.redis)]

on_every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer or "in-memory")
on_redis_layers = pytest.mark.parametrize("layer", REDIS_LAYERS)


class Pair(NamedTuple):
    """Two processes that share their rooms; with the in-memory layer they are one and the same."""

    one: ASGIServer
    two: ASGIServer


@pytest.fixture
def pair(site: Callable[..., ASGIServer], layer: str | None) -> Pair:
    one = site("daphne", layer=layer)
    return Pair(one, site("daphne", layer=layer, number=2) if layer else one)


@pytest.fixture
def redis_client(redis_server: RedisServer) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@asynccontextmanager
async def member(server: ASGIServer, *rooms: str, **options: Any) -> AsyncIterator[Client]:
    """A client whose socket is in these rooms; its ``name`` is the socket's id."""
    async with connect(server, "/ws/member", **options) as ws:
        ws.name = (await ws.recv_json())["id"]
        for room in rooms:
            await tell(ws, "join", room=room)
        yield ws


async def tell(ws: Client, do: str, **more: Any) -> Any:
    """Have a member do something; what it gets in the meantime must not be anything else."""
    answer = await ws.ask({"do": do, **more})
    assert set(answer) == {"done"}
    return answer["done"]


async def inspect(server: ASGIServer) -> dict[str, Any]:
    async with connect(server, "/ws/inspect") as ws:
        facts: dict[str, Any] = await ws.ask({})
        return facts


async def members(server: ASGIServer, room: str) -> int | None:
    """How many members a room has in this process; None if the process does not know the room."""
    count: int | None = (await inspect(server))["rooms"].get(group_name(room))
    return count


async def nobody_is_left(server: ASGIServer, *rooms: str) -> None:
    async def gone() -> bool:
        known = (await inspect(server))["rooms"]
        return not {group_name(room) for room in rooms} & known.keys()

    await until(gone, "the end of the rooms")


def subscriptions(client: Any, room: str) -> int:
    """How many processes Redis knows in a room: by subscription, or as members of a stored group."""
    group = group_name(room)
    channels = client.pubsub_channels(f"*{group}")
    subscribed = sum(count for _, count in client.pubsub_numsub(*channels)) if channels else 0
    stored = sum(client.zcard(key) for key in client.keys(f"*{group}"))
    return int(subscribed + stored)


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = [
    "",
    "lobby",
    "größe ✓",
    "🚀" * 30,
    "a/b/c",
    "x" * 60,
    "x" * 61,
    "x" * 100_000,
    " lobby",
    "lobby\n",
    "LOBBY",
    "\x00",
    "*",
    "fastws.n.lobby",
    "'; DROP TABLE rooms; --",
]


@on_every_layer
async def test_any_name_is_a_room_of_its_own(pair):
    unique = token()
    async with AsyncExitStack() as stack:
        listeners = {name: await stack.enter_async_context(member(pair.one, name)) for name in NAMES}
        sender = await stack.enter_async_context(member(pair.two))
        for number, name in enumerate(NAMES):
            await tell(sender, "broadcast", room=name, data=f"{unique} {number}")
        for number, name in enumerate(NAMES):
            await tell(sender, "broadcast", room=name, data="over")
            assert [await listeners[name].recv(), await listeners[name].recv()] == [f"{unique} {number}", "over"]
    await nobody_is_left(pair.one, *NAMES)


@on_every_layer
@pytest.mark.parametrize(
    ("data", "arrives"),
    [
        ("größe ✓ 🚀", "größe ✓ 🚀"),
        ("", ""),
        ({"größe": [1, None, True, 1.5], "1": {}}, '{"größe":[1,null,true,1.5],"1":{}}'),
        ([], "[]"),
        (None, "null"),
        (2**60, str(2**60)),
        ("x" * 300_000, "x" * 300_000),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_a_broadcast_arrives_as_it_was_sent(pair, data, arrives):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two) as bob:
        await tell(bob, "broadcast", room=room, data=data)
        assert await ada.recv() == arrives


@on_every_layer
async def test_a_broadcast_may_have_a_mebibyte(pair):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two) as bob:
        await tell(bob, "flood", room=room, data=1024 * 1024, times=1)
        assert len(await ada.recv()) == 1024 * 1024


@on_every_layer
@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"\xff" * 300_000], ids=len)
async def test_bytes_are_broadcast_as_a_binary_message(pair, data):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two) as bob:
        await tell(bob, "bytes", room=room, data=data.hex())
        assert await ada.recv() == data


# ── Who gets it ─────────────────────────────────────────────────────────────────────────────────────────────────────


@on_every_layer
async def test_a_sender_gets_its_own_broadcast_unless_it_is_excluded(pair):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two, room) as bob:
        await ada.send_json(
            {"do": "broadcast", "room": room, "data": "without ada", "exclude_self": True, "quiet": 1}
        )
        assert await bob.recv() == "without ada"
        await ada.send_json({"do": "broadcast", "room": room, "data": "with ada", "quiet": 1})
        assert await ada.recv() == await bob.recv() == "with ada"


@on_every_layer
async def test_a_member_of_either_process_is_excluded_by_its_id(pair):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two, room) as bob, member(pair.two) as sender:
        await tell(sender, "exclude", room=room, exclude=ada.name, data="not for ada")
        await tell(sender, "exclude", room=room, exclude=bob.name, data="not for bob")
        await tell(sender, "exclude", room=room, exclude="nobody", data="for all")
        assert [await ada.recv(), await ada.recv()] == ["not for bob", "for all"]
        assert [await bob.recv(), await bob.recv()] == ["not for ada", "for all"]


@on_every_layer
async def test_joining_twice_is_joining_once_and_leaving_ends_it(pair):
    room = token()
    async with member(pair.one, room, room) as ada, member(pair.two, room) as bob:
        assert await tell(ada, "rooms") == [room]
        await bob.send_json({"do": "broadcast", "room": room, "data": "1", "quiet": 1})
        assert await ada.recv() == await bob.recv() == "1"
        await tell(ada, "leave", room=room)
        await tell(ada, "leave", room=room)
        assert await tell(ada, "rooms") == []
        await bob.send_json({"do": "broadcast", "room": room, "data": "2", "quiet": 1})
        assert await bob.recv() == "2"
        await tell(ada, "join", room=room)
        await bob.send_json({"do": "broadcast", "room": room, "data": "3", "quiet": 1})
        assert await ada.recv() == await bob.recv() == "3"


@on_every_layer
async def test_who_is_in_many_rooms_gets_what_is_sent_to_each(pair):
    rooms = [token() for _ in range(20)]
    async with member(pair.one, *rooms) as ada, member(pair.two) as bob:
        for room in rooms:
            await tell(bob, "broadcast", room=room, data=room)
        assert sorted([await ada.recv() for _ in rooms]) == sorted(rooms)
    await nobody_is_left(pair.one, *rooms)


@pytest.mark.redis
async def test_daphne_and_uvicorn_share_their_rooms(site):
    room = token()
    servers = site("daphne", layer="ours"), site("uvicorn", layer="ours")
    async with member(servers[0], room) as ada, member(servers[1], room) as bob:
        for sender, data in ((ada, "from daphne"), (bob, "from uvicorn")):
            await sender.send_json({"do": "broadcast", "room": room, "data": data, "quiet": 1})
            assert await ada.recv() == await bob.recv() == data


# ── Order, and nothing missed ───────────────────────────────────────────────────────────────────────────────────────


@on_every_layer
async def test_every_member_gets_the_broadcasts_of_one_sender_in_order(pair):
    room, total = token(), 500
    async with (
        member(pair.one, room) as ada,
        member(pair.two, room) as bob,
        member(pair.two, room) as sender,
    ):
        await sender.send_json({"do": "count", "room": room, "data": total, "prefix": "", "quiet": 1})
        expected = [str(number) for number in range(total)]
        for ws in (ada, bob, sender):
            assert [await ws.recv() for _ in range(total)] == expected


@on_every_layer
async def test_broadcasts_of_several_senders_keep_the_order_of_each(pair):
    room, total = token(), 100
    async with (
        member(pair.one, room) as ada,
        member(pair.one) as bob,
        member(pair.two) as carol,
        member(pair.two) as dave,
    ):
        for prefix, sender in zip("bcd", (bob, carol, dave), strict=True):
            await sender.send_json({"do": "count", "room": room, "data": total, "prefix": prefix, "quiet": 1})
        got = [await ada.recv() for _ in range(3 * total)]
        for prefix in "bcd":
            assert [text for text in got if text[0] == prefix] == [f"{prefix}{number}" for number in range(total)]


@on_every_layer
async def test_who_has_joined_misses_nothing_that_another_process_sends_at_once(pair):
    async with member(pair.one) as ada, member(pair.two) as bob:
        for _ in range(100):
            room = token()
            await tell(ada, "join", room=room)
            await tell(bob, "broadcast", room=room, data=room)
            assert await ada.recv() == room


@on_every_layer
async def test_who_joins_again_right_after_the_last_has_left_misses_nothing(pair):
    room = token()
    async with member(pair.one) as ada, member(pair.two) as bob:
        for number in range(20):
            await tell(ada, "join", room=room)
            await tell(bob, "broadcast", room=room, data=str(number))
            assert await ada.recv() == str(number)
            await tell(ada, "leave", room=room)
    await nobody_is_left(pair.one, room)


# ── Leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_every_layer
@pytest.mark.parametrize("how", ["return", "error", "close", "cancel", "client", "abort"])
async def test_a_room_is_left_however_the_handler_ends(pair, how, request):
    room, name = token(), token()
    async with member(pair.two, room) as witness:
        async with connect(pair.one, f"/ws/ends/{how}?room={room}&token={name}") as ws:
            assert await ws.recv() == "joined"
            assert await members(pair.one, room) == (2 if pair.one is pair.two else 1)
            if how == "abort":
                abort(ws)
            elif how != "client":
                await ws.send("now")
                await ws.closed()
        await until(lambda: has_members(pair.one, room, 1 if pair.one is pair.two else None), "leaving the room")
        await witness.send_json({"do": "broadcast", "room": room, "data": "still here", "quiet": 1})
        assert await witness.recv() == "still here"
    await nobody_is_left(pair.two, room)
    if pair.one is not pair.two:
        client = request.getfixturevalue("redis_client")
        await until(lambda: as_async(subscriptions(client, room) == 0), "the end of the subscriptions")


async def has_members(server: ASGIServer, room: str, number: int | None) -> bool:
    return await members(server, room) == number


async def as_async(value: Any) -> Any:
    return value


@on_redis_layers
async def test_a_room_costs_one_subscription_for_each_process_and_none_afterwards(pair, redis_client):
    room = token()
    async with AsyncExitStack() as stack:
        for server in pair:
            for _ in range(50):
                await stack.enter_async_context(member(server, room))
        assert subscriptions(redis_client, room) == 2
        assert [await members(server, room) for server in pair] == [50, 50]
    for server in pair:
        await nobody_is_left(server, room)
    await until(lambda: as_async(subscriptions(redis_client, room) == 0), "the end of the subscriptions")


@on_every_layer
async def test_sixty_members_that_race_end_where_their_last_call_left_them(pair, request):
    rooms = [token() for _ in range(5)]
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(member(pair[number % 2])) for number in range(60)]
        expected: Counter[str] = Counter()
        inside: dict[str, list[Client]] = {room: [] for room in rooms}
        for number, ws in enumerate(sockets):
            room = rooms[number % len(rooms)]
            calls = [(random.choice(["join", "leave"]), room) for _ in range(6)]
            last = random.choice(["join", "leave"])
            await ws.send_json({"do": "race", "data": calls, "quiet": 1})
            await ws.send_json({"do": "race", "data": calls[::-1], "quiet": 1})
            await ws.send_json({"do": last, "room": room})
            if last == "join":
                expected[room] += 1
                inside[room].append(ws)
        for ws in sockets:
            assert await ws.recv_json() == {"done": None}
        for room in rooms:
            assert sum([await members(server, room) or 0 for server in {*pair}]) == expected[room]
            async with member(pair.two) as sender:
                await tell(sender, "broadcast", room=room, data=room)
        for room in rooms:
            assert [await ws.recv() for ws in inside[room]] == [room] * expected[room]
        for number, ws in enumerate(sockets):
            room = rooms[number % len(rooms)]
            assert await tell(ws, "rooms") == ([room] if ws in inside[room] else [])
        for ws in sockets[::3]:
            abort(ws)
    for server in pair:
        await nobody_is_left(server, *rooms)
    if pair.one is not pair.two:
        client = request.getfixturevalue("redis_client")
        for room in rooms:
            await until(lambda room=room: as_async(subscriptions(client, room) == 0), "the end of the subscriptions")


@on_every_layer
async def test_calls_that_race_for_one_socket_leave_it_in_the_room_or_out_of_it_but_not_between(pair):
    room = token()
    async with member(pair.one) as ada, member(pair.two) as bob:
        for _ in range(25):
            await tell(ada, "race", data=[(random.choice(["join", "leave"]), room) for _ in range(8)])
            is_in = room in await tell(ada, "rooms")
            assert (await members(pair.one, room)) == (1 if is_in else None)
            await tell(bob, "broadcast", room=room, data="heard")
            if is_in:
                assert await ada.recv() == "heard"
    await nobody_is_left(pair.one, room)


@on_every_layer
async def test_a_process_without_members_lets_go_of_the_layer(pair):
    async with member(pair.one, token()):
        assert (await inspect(pair.one))["subscribes"]

    async def is_idle() -> bool:
        facts = await inspect(pair.one)
        return facts["rooms"] == {} and not facts["subscribes"]

    await until(is_idle, "an idle process")


# ── Members that are a burden ───────────────────────────────────────────────────────────────────────────────────────


@on_every_layer
async def test_a_closed_member_whose_handler_lives_on_disturbs_nobody(pair):
    room = token()
    async with (
        member(pair.one, room) as ada,
        member(pair.one, room) as closed,
        member(pair.two) as sender,
    ):
        await closed.send_json({"do": "close", "quiet": 1})
        assert await closed.closed() == (4000, "")
        await tell(sender, "broadcast", room=room, data="hello")
        assert await ada.recv() == "hello"


async def test_a_socket_that_has_closed_leaves_its_rooms_at_once(site):
    server, room = site("daphne"), token()
    async with member(server, room) as ws:
        await ws.send_json({"do": "close and live on", "quiet": 1})
        await ws.closed()
        await nobody_is_left(server, room)


@on_every_layer
async def test_members_whose_connections_are_cut_during_broadcasts_disturb_nobody(pair):
    room = token()
    async with member(pair.one, room) as ada, member(pair.two) as sender, AsyncExitStack() as stack:
        doomed = [await stack.enter_async_context(member(pair.one, room)) for _ in range(20)]
        await sender.send_json({"do": "count", "room": room, "data": 200, "prefix": "", "quiet": 1})
        for number in range(200):
            assert await ada.recv() == str(number)
            if number % 10 == 0:
                abort(doomed.pop())
        assert not doomed


@asynccontextmanager
async def deaf(server: ASGIServer, room: str) -> AsyncIterator[Client]:
    """A client that is in a room and reads nothing; what the kernel buffers for it is little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (HOST, server.port))
    async with member(server, room, sock=sock, ping_interval=None, close_timeout=0.1) as ws:
        ws.transport.pause_reading()
        try:
            yield ws
        finally:
            abort(ws)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"])
async def test_a_member_that_reads_nothing_disturbs_nobody(site, kind):
    server, room = site(kind), token()
    size = 65536
    async with deaf(server, room), member(server, room) as ada, member(server) as sender:
        for _ in range(250):  # 16 MiB, more than the kernel keeps
            await tell(sender, "flood", room=room, data=size, times=1)
            assert len(await ada.recv()) == size


@pytest.mark.parametrize("kind", ["daphne", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"])
async def test_a_member_that_reads_nothing_is_let_go(site, kind):
    server, room = site(kind), token()
    async with deaf(server, room), member(server) as sender:
        for _ in range(10):
            await tell(sender, "flood", room=room, data=65536, times=50)  # 32 MiB in all
        await nobody_is_left(server, room)


# ── Encoding ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_json_is_encoded_once_however_many_members_there_are(settings):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    encoded = 0

    class Counting:
        def __str__(self) -> str:
            nonlocal encoded
            encoded += 1
            return "encoded"

    room = token()
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect_inside("/ws/member")) for _ in range(50)]
        for ws in sockets:
            await ws.receive()
            await ws.send_json({"do": "join", "room": room, "quiet": 1})
        for ws in sockets:
            await ws.send_json({"do": "rooms"})
            assert await ws.receive_json() == {"done": [room]}
        await Room(room).abroadcast({"text": lazystr(Counting())})
        for ws in sockets:
            assert await ws.receive_json() == {"text": "encoded"}
    assert encoded == 1
