"""The client of the page on the protocol, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json

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
