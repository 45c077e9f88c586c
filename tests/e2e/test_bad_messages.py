"""What a client should not have sent: an error for the handler, and no traceback for whoever reads the log."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from django_fastws import FastWS, WebSocket
from django_fastws.testing import connect
from tests.site.client import connect as connect_to
from tests.support.processes import ASGIServer


async def receive_json(ws: WebSocket) -> None:
    await ws.receive_json()


async def message_json(ws: WebSocket) -> None:
    async for message in ws:
        message.json()


async def receive_text(ws: WebSocket) -> None:
    await ws.receive_text()


async def receive_bytes(ws: WebSocket) -> None:
    await ws.receive_bytes()


async def in_a_task(ws: WebSocket) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(receive_json(ws))


NOT_JSON = (1007, "the message is not JSON")
MISTAKES: list[tuple[Any, Any, type[Exception], tuple[int, str]]] = [
    (receive_json, "{", ValueError, NOT_JSON),
    (receive_json, "", ValueError, NOT_JSON),
    (receive_json, b"\xff", ValueError, NOT_JSON),
    (message_json, "nonsense", ValueError, NOT_JSON),
    (receive_text, b"bytes", TypeError, (1003, "text is expected")),
    (receive_bytes, "text", TypeError, (1003, "binary is expected")),
]
IDS = [f"{call.__name__} {sent!r}" for call, sent, _, _ in MISTAKES]


@pytest.mark.parametrize(("receive", "sent", "error", "end"), [*MISTAKES, (in_a_task, *MISTAKES[0][1:])])
async def test_a_handler_that_lets_it_out_closes_the_socket_without_a_traceback(
    routes, caplog, receive, sent, error, end
):
    caplog.set_level(logging.INFO)

    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        await receive(ws)

    async with connect("/take") as ws:
        await ws.send(sent)
        assert (await ws.wait_closed(), ws.close_reason) == end
    (record,) = [record for record in caplog.records if record.name == "django_fastws.handlers"]
    assert record.levelno == logging.INFO
    assert record.exc_info is None
    assert "take() on '/take': " in record.getMessage()


@pytest.mark.parametrize(("receive", "sent", "error", "end"), MISTAKES, ids=IDS)
async def test_a_handler_that_catches_it_goes_on(routes, receive, sent, error, end):
    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        with pytest.raises(error) as raised:
            await receive(ws)
        await ws.send(type(raised.value).__name__)

    async with connect("/take") as ws:
        await ws.send(sent)
        assert await ws.receive_text() == ("TypeError" if error is TypeError else "JSONDecodeError")


async def test_what_a_handler_raises_itself_is_an_error_of_its_own(routes, caplog):
    @FastWS().websocket("/take")
    async def take(ws: WebSocket) -> None:
        await ws.accept()
        json.loads(await ws.receive_text())

    async with connect("/take") as ws:
        await ws.send("{")
        assert await ws.wait_closed() == 1011
    (record,) = caplog.records
    assert record.exc_info


@pytest.mark.server
@pytest.mark.parametrize("kind", ["daphne", "uvicorn", "hypercorn"])
async def test_on_a_server(site: Any, kind: str):
    server: ASGIServer = site(kind)
    start = server.log_size()
    async with connect_to(server, "/ws/room/bad-messages") as other, connect_to(server, "/ws/take-json") as ws:
        await ws.send("{")
        assert await ws.closed() == NOT_JSON
        await other.send("still here")
        assert (await other.recv_json())["text"] == "still here"
    assert "Traceback" not in server.log(start)
    assert server.log(start).count("receive_json(): the message is not JSON") == 1
