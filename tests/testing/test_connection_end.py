"""What both ends of a connection have, seen on the test client: messages by kind, and those that are passed over."""

import json

import pytest

from django_fastws import WebSocketDisconnect
from django_fastws.testing import connect
from tests.testing.served import echo, serve


async def told(ws):
    """Sends one message after the other, and closes."""
    await ws.accept()
    for data in ("no JSON", b"\x00", {"type": "joined"}, {"type": "said", "who": {"name": "ada", "id": 5}}, [1]):
        await ws.send(data)
    await ws.receive()
    await ws.close(4000)


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"type": "joined"}, {"type": "joined"}),
        ({"who": {"name": "ada"}}, {"type": "said", "who": {"name": "ada", "id": 5}}),
        (lambda message: message["who"]["id"] == 5, {"type": "said", "who": {"name": "ada", "id": 5}}),
        (lambda message: isinstance(message, list), [1]),
        ({}, {"type": "joined"}),
    ],
)
async def test_messages_are_passed_over_until_one_is_like_that(where, found):
    serve(told)
    async with connect("/x") as ws:
        assert await ws.receive_json(where=where) == found


async def test_what_was_passed_over_is_gone():
    serve(told)
    async with connect("/x") as ws:
        await ws.recv_json(where={"type": "joined"})
        assert (await ws.receive_json())["type"] == "said"


async def test_a_message_that_does_not_come_says_what_was_passed_over():
    serve(told)
    async with connect("/x") as ws:
        with pytest.raises(TimeoutError) as caught:
            await ws.receive_json(timeout=0.05, where={"type": "left"})
        assert str(caught.value).splitlines() == [
            "receive_json(): no message where {'type': 'left'} in 0.05 seconds; passed over:",
            "    no JSON",
            r"    b'\x00'",
            "    {'type': 'joined'}",
            "    {'type': 'said', 'who': {'name': 'ada', 'id': 5}}",
            "    [1]",
        ]
        with pytest.raises(TimeoutError, match=r"<lambda> in 0 seconds; nothing else came"):
            await ws.receive_json(0, where=lambda message: False)
        await ws.send("go on")
        with pytest.raises(WebSocketDisconnect) as closed:
            await ws.receive_json(where={"type": "left"})
        assert closed.value.code == 4000
        assert closed.value.__notes__ == ["waited for a message where {'type': 'left'}; nothing else came"]


@pytest.mark.parametrize("data", [{"a": 1}, [1, None], "größe", None])
async def test_json_goes_as_text(data):
    serve(echo)
    async with connect("/x") as ws:
        await ws.send_json(data)
        assert json.loads(await ws.receive_text()) == data
