"""The protocol of an open WebSocket on the server itself, without the package's transports: closing and messages."""

from __future__ import annotations

import time

import pytest

from tests.server.client import RawClient, scripted, told
from tests.server.loops import both_loops
from tests.site.client import abort, connect, token

pytestmark = pytest.mark.server

CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4000, 4999]
ACCEPT = {"type": "websocket.accept"}


@pytest.fixture
def server(plain):
    return plain()


# Closing


@both_loops
@pytest.mark.parametrize("code", CODES)
async def test_the_client_sees_every_code_and_reason_that_may_be_sent(server, code):
    close = {"type": "websocket.close", "code": code, "reason": "tschüß ✓"}
    async with RawClient(server, scripted(token(), ACCEPT, close)) as client:
        _, frame = await client.until_close()
        assert (frame.code, frame.reason) == (code, "tschüß ✓")
        client.send(8, frame.payload)
        assert await client.receive() is None


@pytest.mark.parametrize("code", CODES)
async def test_the_application_sees_every_code_and_reason_of_the_client_and_echoes_the_code(server, code):
    name = token()
    async with RawClient(server, f"/echo/{name}") as client:
        client.send(8, code.to_bytes(2, "big") + "tschüß ✓".encode())
        _, frame = await client.until_close()
        assert frame.code == code
        assert await client.receive() is None
    assert await told(server, name) == {"type": "websocket.disconnect", "code": code, "reason": "tschüß ✓"}


async def test_a_close_without_a_code_is_1000_out_and_1005_in(server):
    async with RawClient(server, scripted(token(), ACCEPT, {"type": "websocket.close"})) as client:
        assert (await client.until_close())[1].code == 1000
    name = token()
    async with RawClient(server, f"/echo/{name}") as client:
        client.send(8)
        assert (await client.until_close())[1].code == 1005
    assert await told(server, name) == {"type": "websocket.disconnect", "code": 1005, "reason": ""}


@pytest.mark.parametrize(
    ("close", "says"),
    [
        ({"code": 1005}, "close code 1005 cannot be sent"),
        ({"code": 1006}, "close code 1006 cannot be sent"),
        ({"code": 1015}, "close code 1015 cannot be sent"),
        ({"code": 999}, "close code 999 cannot be sent"),
        ({"code": 5000}, "close code 5000 cannot be sent"),
        ({"reason": "x" * 124}, "the close reason has 124 bytes"),
    ],
)
async def test_a_close_that_cannot_be_sent_raises_and_leaves_the_socket_open(server, close, says):
    name = token()
    path = scripted(name, ACCEPT, {"type": "websocket.close", **close}, {"type": "websocket.send", "text": "open"})
    async with connect(server, path) as ws:
        assert await ws.recv() == "open"
    assert says in (await told(server, name))["raised"][1]


@both_loops
async def test_a_cut_connection_is_1006(server):
    name = token()
    ws = await connect(server, f"/echo/{name}")
    abort(ws)
    assert await told(server, name) == {"type": "websocket.disconnect", "code": 1006, "reason": ""}


@both_loops
async def test_a_client_that_does_not_answer_a_close_is_cut_off(server):
    name, started = token(), time.monotonic()
    async with RawClient(server, scripted(name, ACCEPT, {"type": "websocket.close", "code": 4000})) as client:
        assert (await client.until_close())[1].code == 4000
        assert await client.receive() is None
    assert 4 < time.monotonic() - started < 20
    assert (await told(server, name))["received"][-1]["code"] == 1006


# Messages


async def test_empty_messages_pass_both_ways(server):
    async with connect(server, "/echo/") as ws:
        for message in ("", b"", "x"):
            await ws.send(message)
            assert await ws.recv() == message


async def test_messages_that_are_malformed_raise_and_are_not_sent(server):
    name = token()
    bad = [
        {"type": "websocket.send"},
        {"type": "websocket.send", "text": "a", "bytes": "b"},
        {"type": "websocket.accept"},
        {"type": "websocket.http.response.start", "status": 403},
        {"type": "http.response.body"},
        {"type": "nonsense"},
    ]
    async with connect(server, scripted(name, ACCEPT, *bad, {"type": "websocket.send", "text": "last"})) as ws:
        assert await ws.recv() == "last"
    raised = (await told(server, name))["raised"]
    assert [text.partition(":")[0] for text in raised] == ["", *["ValueError"] * len(bad), ""]
    assert "accepted before" in raised[3]


async def test_a_message_before_the_handshake_is_answered_raises(server):
    name = token()
    early = {"type": "websocket.send", "text": "early"}
    async with connect(server, scripted(name, early, ACCEPT, {"type": "websocket.send", "text": "last"})) as ws:
        assert await ws.recv() == "last"
    assert "send websocket.accept first" in (await told(server, name))["raised"][0]


async def test_a_message_over_the_limit_raises_in_the_application(serve_plain):
    server, name = serve_plain(settings={"FASTWS_MAX_MESSAGE_BYTES": 1000}), token()
    big, small = {"type": "websocket.send", "text": "x" * 1001}, {"type": "websocket.send", "text": "x" * 1000}
    async with connect(server, scripted(name, ACCEPT, big, small)) as ws:
        assert await ws.recv() == "x" * 1000
    assert (await told(server, name))["raised"][1].startswith("MessageTooBig: the message has 1001 bytes")


async def test_what_is_sent_after_the_end_is_dropped(server):
    name = token()
    close, late = {"type": "websocket.close", "code": 4000}, {"type": "websocket.send", "text": "late"}
    async with RawClient(server, scripted(name, ACCEPT, close, late)) as client:
        assert (await client.until_close())[0] == []
        client.send(8, b"\x0f\xa0")
        assert await client.receive() is None
    assert (await told(server, name))["raised"] == ["", "", ""]
