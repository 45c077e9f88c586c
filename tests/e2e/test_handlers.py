"""Handlers as people write them: loops, sets of sockets, exceptions, tasks, on real servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.conftest import tracebacks
from tests.site.client import Client, abort, connect, report, token, until
from tests.support.processes import ASGIServer

pytestmark = [
    pytest.mark.server,
    pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"]),
]


@pytest.fixture
def server(site: Any, kind: str) -> ASGIServer:
    return site(kind)


async def test_the_least_handler_replies_until_its_client_leaves(server):
    name = token()
    async with connect(server, f"/ws/patterns/reply?token={name}") as ws:
        await ws.send("hello")
        assert await ws.recv_json() == {"reply": "got it", "words": "hello"}
        await ws.close(4000, "enough")
    assert await report(server, name) == {
        "ended_by": "WebSocketDisconnect",
        "says": "cannot call receive_text(): the connection is closed (4000 enough)",
    }


async def test_a_message_of_the_wrong_kind_ends_the_least_handler_as_an_exception_does(server):
    name = token()
    async with connect(server, f"/ws/patterns/reply?token={name}") as ws:
        await ws.send(b"not text")
        assert await ws.closed() == (1000, "")
    assert (await report(server, name))["ended_by"] == "TypeError"


async def test_a_set_of_sockets_is_a_room_of_one_process(server):
    async with (
        connect(server, "/ws/patterns/everyone") as ada,
        connect(server, "/ws/patterns/everyone") as bob,
    ):
        assert await ada.recv_json() == {"here": 1}
        assert await bob.recv_json() == {"here": 2}
        await ada.send("hello")
        assert await ada.recv_json() == await bob.recv_json() == {"words": "hello", "total": 2}
    await nobody_is_left(server)


@pytest.mark.parametrize("how", ["closed", "aborted"])
async def test_a_dead_member_of_a_set_disturbs_nobody(server, how):
    async with connect(server, "/ws/patterns/everyone") as ada:
        await ada.recv_json()
        if how == "closed":
            async with connect(server, "/ws/patterns/everyone/dead") as dead:
                await dead.closed()
        else:
            abort(await member_of_everyone(server))
        for _ in range(3):
            await ada.send("hello")
            assert (await ada.recv_json())["words"] == "hello"
        await until(lambda: how_many(server, 1), "the dead member's removal")
    await nobody_is_left(server)


async def member_of_everyone(server: ASGIServer) -> Client:
    ws: Client = await connect(server, "/ws/patterns/everyone")
    await ws.recv_json()
    return ws


async def how_many(server: ASGIServer, number: int) -> bool:
    async with connect(server, "/ws/patterns/everyone/count") as ws:
        return await ws.recv_json() == number


async def nobody_is_left(server: ASGIServer) -> None:
    await until(lambda: how_many(server, 0), "an empty set")


async def test_a_chat_over_plain_sets_tells_who_comes_what_they_say_and_who_goes(server):
    room = token()
    async with connect(server, f"/ws/patterns/chat/{room}?username=ada") as ada:
        async with connect(server, f"/ws/patterns/chat/{room}?username=Bob+Bär") as bob:
            assert await ada.recv_json() == {"type": "user_joined", "username": "Bob Bär", "room": room}
            async with connect(server, f"/ws/patterns/chat/{room}") as carol:
                joined = {"type": "user_joined", "username": "Anonymous", "room": room}
                assert await ada.recv_json() == await bob.recv_json() == joined
                await carol.send("hi ✓")
                said = {"type": "message", "username": "Anonymous", "message": "hi ✓"}
                assert [await ws.recv_json() for ws in (ada, bob, carol)] == [said] * 3
                abort(carol)
            left = {"type": "user_left", "username": "Anonymous"}
            assert await ada.recv_json() == await bob.recv_json() == left
        assert await ada.recv_json() == {"type": "user_left", "username": "Bob Bär"}


async def test_a_loop_over_the_state_ends_with_the_connection(server):
    name = token()
    async with connect(server, f"/ws/patterns/while-connected/{name}") as ws:
        for word in ("one", "", "größe"):
            await ws.send(word)
            assert await ws.recv() == f"Echo: {word}"
    assert await report(server, name) == {"turns": 3, "state": 3}


async def test_connection_errors_value_errors_and_websocket_exceptions_are_told_apart(server):
    name, start = token(), server.log_size()
    async with connect(server, f"/ws/patterns/careful/{name}") as ws:
        await ws.send("4")
        assert await ws.recv_json() == {"half": 2.5}
        await ws.send("four")
        assert "invalid literal" in (await ws.recv_json())["error"]
        await ws.send("5")
        assert await ws.recv_json() == {"half": 2.0}
        await ws.send("0")
        assert await ws.closed() == (4400, "zero")
    assert await report(server, name) == {"seen": ["4400 - zero", "cleaned up"]}
    name = token()
    async with connect(server, f"/ws/patterns/careful/{name}"):
        pass
    assert await report(server, name) == {"seen": ["gone", "cleaned up"]}
    assert not tracebacks(server.log(start))


async def test_bad_json_is_a_value_error_and_a_lost_connection_is_not(server):
    name = token()
    async with connect(server, f"/ws/patterns/careful-json/{name}") as ws:
        for bad in ("{", b"\xff\xfe", "", "NaN"):
            await ws.send(bad)
            assert await ws.recv_json() == {"error": "JSONDecodeError"}
        assert await ws.ask([1]) == {"got": [1]}
    assert await report(server, name) == {"closed": True}


async def test_a_heartbeat_task_ends_with_the_connection(server):
    name = token()
    async with connect(server, f"/ws/patterns/heartbeat/{name}") as ws:
        for _ in range(3):
            assert await ws.recv_json() == {"type": "ping"}
    assert await report(server, name) == {"heart_stopped_by": "WebSocketDisconnect"}


async def test_a_lifetime_is_limited_by_wait_for_and_close(server):
    name = token()
    async with connect(server, f"/ws/patterns/lifetime/{name}?seconds=0.1") as ws:
        await ws.send("hello")
        assert await ws.recv() == "hello"
        assert await ws.closed() == (1000, "")
    assert await report(server, name) == {"ended_by": "time", "state": 3}
    name = token()
    async with connect(server, f"/ws/patterns/lifetime/{name}?seconds=60"):
        pass
    assert await report(server, name) == {"ended_by": "client", "state": 3}


async def test_waiting_that_is_given_up_loses_no_message(server):
    async with connect(server, "/ws/patterns/patient") as ws:
        for number in range(200):
            await ws.send(str(number))
            if number % 20 == 0:
                await asyncio.sleep(0.002)  # so that some waits end at the same time as a message comes
        assert [await ws.recv() for _ in range(200)] == [str(number) for number in range(200)]


async def test_sockets_are_hashable_and_compare_by_identity(server):
    async with connect(server, "/ws/patterns/identity") as one:
        facts = await one.recv_json()
        assert facts == {"found": True, "equal": [], "same hash": True, "as a key": "value"}
        async with connect(server, "/ws/patterns/identity") as two:
            assert (await two.recv_json())["equal"] == [False]
    await nobody_is_left(server)
