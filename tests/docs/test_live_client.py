"""The client of the page on the protocol, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from unittest.mock import AsyncMock

import pytest

from tests.docs import examples
from tests.docs.client import LIMIT

pytestmark = pytest.mark.server


@pytest.fixture
def server(serve):
    settings = {"FASTWS_LIVE_AUTHENTICATE": "tests.docs.site.user_named"}
    environment = {"DOCS_EXAMPLE": "live_room", "TEST_FASTWS": json.dumps(settings)}
    return serve("daphne", app="tests.docs.site:application", environment=environment)


@contextlib.asynccontextmanager
async def client_of(server, make_token=lambda: "ada"):
    """A client that is connected, with what it hears."""
    heard = asyncio.Queue()
    client = examples.load("live_client").LiveClient(server.url("/ws/live"), heard.put_nowait, make_token)
    running = asyncio.create_task(client.run())
    try:
        async with asyncio.timeout(LIMIT):
            yield client, heard, running
    finally:
        running.cancel()
        await asyncio.wait([running])


async def test_a_client_joins_calls_hears_and_comes_back(server):
    async with client_of(server) as (client, heard, _):
        await client.join("tickets/5")
        assert await heard.get() == {"room": "tickets/5", "state": []}
        said = {"who": "ada", "text": "hi"}
        assert await client.call("tickets/5", "say", {"text": "hi"}) == 1
        assert await heard.get() == {"room": "tickets/5", "event": "said", "data": said}
        for field, problem in (("text", "x" * 2001), ("texts", "hi")):
            with pytest.raises(Exception, match=r"^invalid: text: ") as caught:
                await client.call("tickets/5", "say", {field: problem})
            assert list(caught.value.fields) == ["text"]
        client.socket.transport.abort()
        assert await heard.get() == {"room": "tickets/5", "state": [said]}
        assert await client.call("tickets/5", "say", {"text": "again"}) == 2


@pytest.fixture
def server_with_history(serve):
    settings = {"FASTWS_LIVE_AUTHENTICATE": "tests.docs.site.user_named"}
    environment = {"DOCS_EXAMPLE": "history", "TEST_FASTWS": json.dumps(settings)}
    return serve("daphne", app="tests.docs.site:application", environment=environment)


async def test_a_client_goes_on_where_it_was(server_with_history):
    async with client_of(server_with_history) as (ada, heard, running):
        await ada.join("tickets/5")
        assert await heard.get() == {"room": "tickets/5", "state": []}
        async with client_of(server_with_history, lambda: "bob") as (bob, bobs, _):
            await bob.join("tickets/5")
            await bobs.get()
            await bob.call("tickets/5", "say", {"text": "before"})
            assert (await heard.get())["data"]["text"] == "before"
            running.cancel()
            await asyncio.wait([running])
            await bob.call("tickets/5", "say", {"text": "meanwhile"})
            again = asyncio.create_task(ada.run())
            assert (await heard.get())["data"]["text"] == "meanwhile"
            await bob.call("tickets/5", "say", {"text": "after"})
            assert (await heard.get())["data"]["text"] == "after"
            again.cancel()
            await asyncio.wait([again])
        assert heard.empty()


async def test_positions_are_taken_one_after_the_other():
    heard, sent = [], []
    client = examples.load("live_client").LiveClient("ws://nowhere", heard.append)
    client._send = AsyncMock(side_effect=sent.append)
    client.rooms.add("r")
    await client._join("r")
    at = {"room": "r", "event": "said", "data": 1}
    for message, is_heard in [
        ({"id": 1, "ok": {"room": "r", "at": "e:5", "recovered": False, "state": [0]}}, {"room": "r", "state": [0]}),
        ({**at, "at": "e:5"}, None),  # it has that
        ({**at, "at": "e:6"}, {**at, "at": "e:6"}),
        ({"room": "r", "at": "e:7"}, None),  # for others
        (at, at),  # volatile
        ({**at, "at": "e:8"}, {**at, "at": "e:8"}),
        ({"room": "r", "state": [1], "at": "f:3"}, {"room": "r", "state": [1]}),
        ({"room": "r", "at": "f:4", "recovered": False}, {"room": "r", "state": None}),
        ({**at, "at": "f:6"}, None),  # of what is between, nobody knows
        ({**at, "at": "f:7"}, None),
        ({"id": 2, "ok": {"room": "r", "at": "f:7", "recovered": False, "state": [2]}}, {"room": "r", "state": [2]}),
        ({**at, "at": "g:8"}, None),
    ]:
        await client._take(message)
        assert heard == ([] if is_heard is None else [is_heard]), message
        heard.clear()
    assert sent == [{"join": "r", "id": number, "since": None, "v": None} for number in (1, 2, 3)]


ADA, BOB = ({"meta": name, "connections": 1} for name in ("ada", "bob"))


def changed(v, **changes):
    return {"presence": {"joined": {}, "left": [], "changed": {}, **changes}, "v": v}


async def test_presence_is_kept_up_to_date():
    heard, sent = [], []
    client = examples.load("live_client").LiveClient("ws://nowhere", heard.append)
    client._send = AsyncMock(side_effect=sent.append)
    client.rooms.add("r")
    await client._join("r")
    joined = {"room": "r", "recovered": False}
    for message, people in [
        ({"id": 1, "ok": {**joined, "present": {"5": ADA}, "v": 7}}, {"5": ADA}),
        ({"room": "r", **changed(7, left=["5"])}, None),  # it has that
        ({"room": "r", **changed(9, joined={"5": ADA, "6": BOB})}, {"5": ADA, "6": BOB}),
        ({"room": "r", **changed(10, left=["5"], changed={"6": ADA})}, {"6": ADA}),
        ({"room": "r", "present": {"7": BOB}, "v": 12}, {"7": BOB}),
    ]:
        await client._take(message)
        assert [one["people"] for one in heard if "people" in one] == ([] if people is None else [people]), message
        heard.clear()
    await client._join("r")
    await client._take({"id": 2, "ok": {**joined, **changed(13, joined={"5": ADA})}})
    await client._take({"room": "r", "count": 3})
    assert heard == [
        {"room": "r", "state": None},
        {"room": "r", "people": {"7": BOB, "5": ADA}},
        {"room": "r", "count": 3},
    ]
    assert [frame["v"] for frame in sent] == [None, 12]


@pytest.fixture
def server_with_presence(serve):
    settings = {"FASTWS_LIVE_AUTHENTICATE": "tests.docs.site.user_named"}
    environment = {"DOCS_EXAMPLE": "presence", "TEST_FASTWS": json.dumps(settings)}
    return serve("daphne", app="tests.docs.site:application", environment=environment)


async def test_a_client_knows_who_is_here(server_with_presence):
    room, card = "tickets/5", {"name": "ada", "is_away": False}
    async with client_of(server_with_presence) as (client, heard, _):
        await client.join(room)
        assert await heard.get() == {"room": room, "state": None}
        assert await heard.get() == {"room": room, "people": {"5": {"meta": card, "connections": 1}}}
        await client.call(room, "away", {"is_away": True})
        assert (await heard.get())["people"]["5"]["meta"] == {"name": "ada", "is_away": True}
        client.socket.transport.abort()
        assert await heard.get() == {"room": room, "state": None}
        assert (await heard.get())["people"]["5"] == {"meta": card, "connections": 1}


async def test_a_call_during_which_the_connection_is_lost_is_done_once(server):
    async with client_of(server) as (client, heard, _):
        await client.join("tickets/6")
        await heard.get()
        call = asyncio.create_task(client.call("tickets/6", "say", {"text": "hi"}))
        await asyncio.sleep(0)  # it is sent
        client.socket.transport.abort()
        assert await call == 1
        assert await client.call("tickets/6", "say", {"text": "next"}) == 2


async def test_a_refused_join_is_told_and_not_repeated(server):
    async with client_of(server) as (client, heard, _):
        await client.join("tickets/0")
        assert (await heard.get())["error"]["code"] == "forbidden"
        assert client.rooms == set()


async def test_a_token_that_is_refused_is_renewed_once(server):
    tokens = ["", "ada"]
    async with client_of(server, lambda: tokens.pop(0)) as (client, heard, _):
        await client.join("tickets/5")
        assert "state" in await heard.get()
        assert tokens == []


async def test_a_client_whose_tokens_are_refused_gives_up(server):
    async with client_of(server, lambda: "") as (_, _, running):
        with pytest.raises(Exception, match=r"^4401: unauthenticated"):
            await running


@pytest.fixture
def server_with_keys(serve):
    settings = {"FASTWS_LIVE_AUTHENTICATE": "tests.docs.site.user_named"}
    environment = {"DOCS_EXAMPLE": "keyed", "TEST_FASTWS": json.dumps(settings)}
    return serve("daphne", app="tests.docs.site:application", environment=environment)


async def test_keys_of_a_room_come_and_go(server_with_keys):
    room = "boards/5/cursors"
    async with client_of(server_with_keys) as (one, heard, _):
        await one.join(room)
        assert await heard.get() == {"room": room, "state": {}}
        async with client_of(server_with_keys, lambda: "bob") as (other, others, _):
            await other.join(room)
            assert await others.get() == {"room": room, "state": {}}
            assert await other.call(room, "move", {"x": 1, "y": 2}) is None
            moved = await heard.get()
            assert moved == {"room": room, "key": moved["key"], "data": {"who": "bob", "x": 1, "y": 2}}
            one.socket.transport.abort()
            assert await heard.get() == {"room": room, "state": {moved["key"]: moved["data"]}}
        assert await heard.get() == {"room": room, "key": moved["key"], "removed": True}
