"""The server's end of a connection, against a client of the websockets library."""

import asyncio
import contextlib
import socket

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from django_fastws import WebSocketDisconnect
from django_fastws.testing.server_end import ServerEnd


def any_message(message):
    return True


@contextlib.asynccontextmanager
async def connected(subprotocol=None, denial=None, **options):
    """Both ends of a connection."""
    opened = []
    here, there = socket.socketpair()
    end = ServerEnd(subprotocol, denial, lambda: opened.append(True))
    await asyncio.get_running_loop().create_connection(lambda: end, sock=there)
    try:
        async with connect("ws://example.com/feed?key=1", sock=here, **options) as client:
            assert opened == [True]
            yield end, client
    finally:
        end.abort()
        here.close()


@pytest.mark.parametrize("data", ["text", "", b"\xff", ["text ", "in ", "parts"], [b"bin", b"ary"]])
async def test_messages_there_and_back_also_in_fragments(data):
    whole = data if isinstance(data, (str, bytes)) else type(data[0])().join(data)
    async with connected() as (end, client):
        await client.send(data)
        assert await end.messages.take(any_message, 5) == whole
        end.send(whole)
        assert await client.recv() == whole


async def test_the_request_is_kept():
    async with connected(additional_headers={"X-Key": "größe"}) as (end, _):
        assert (end.path, end.headers["x-key"]) == ("/feed?key=1", "größe")


@pytest.mark.parametrize(
    ("wanted", "offered", "agreed"),
    [(None, None, None), (None, ["a", "b"], "a"), ("b", ["a", "b"], "b"), ("c", ["a", "b"], None), ("c", None, None)],
)
async def test_a_subprotocol_is_agreed_on(wanted, offered, agreed):
    async with connected(wanted, subprotocols=offered) as (end, client):
        assert end.subprotocol == client.subprotocol == agreed


async def test_a_denial():
    with pytest.raises(InvalidStatus, match="429"):
        async with connected(denial=429):
            pytest.fail("the block must not run")


@pytest.mark.parametrize(("code", "reason", "seen"), [(1000, "", 1000), (4000, "bye", 4000), (1006, "", 1006)])
async def test_a_close_of_this_end(code, reason, seen):
    async with connected() as (end, client):
        end.close(code, reason)
        end.close(4001, "again")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason or "") == (seen, reason)
        assert (end.status, end.is_open) == ((code, reason), False)


async def test_a_close_of_the_other_end_comes_behind_its_messages():
    async with connected() as (end, client):
        await client.send("last")
        await client.close(4000, "bye")
        assert end.status == (4000, "bye")
        assert await end.messages.take(any_message, 5) == "last"
        with pytest.raises(WebSocketDisconnect) as caught:
            await end.messages.take(any_message, 5)
        assert (caught.value.code, caught.value.reason) == (4000, "bye")


async def test_a_cut_connection_is_1006():
    async with connected() as (end, client):
        client.transport.abort()
        with pytest.raises(WebSocketDisconnect):
            await end.messages.take(any_message, 5)
        assert end.status == (1006, "")


async def test_pings_are_answered():
    async with connected() as (_, client):
        await asyncio.wait_for(await client.ping(), 30)
