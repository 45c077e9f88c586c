"""What outbound routes count in the metrics of their process."""

from __future__ import annotations

import pytest

from django_fastws import Reconnect, metrics

from .conftest import run, running
from .peers import closing, echo, listen, soon

LIBRARIES = ("websockets",)


@pytest.fixture(autouse=True)
def _zero():
    metrics.reset()


async def test_attempts_are_counted_by_outcome(app, peer):
    server = await peer(closing(1001, 1001, 1001))

    async def handler(ws):
        if ws.attempt == 0 and len(server.visits) == 1:
            raise Reconnect(0)
        async for _ in ws:
            pass

    app.ws(server.url, reconnect=True, max_retries=1)(handler)
    app.ws("ws://127.0.0.1:9/", name="refused")(handler)
    await run(app)
    assert metrics.outbound_outcomes.by("outcome") == {"reconnect": 1, "closed_by_peer": 2, "transient_failure": 1}
    assert metrics.outbound_connections.value == 0
    attempts = dict(metrics.outbound_attempts.by("route"))
    assert attempts.pop("refused") == 1
    assert [(key.rpartition(".")[2], count) for key, count in attempts.items()] == [("handler", 3)]


async def test_messages_and_closes_are_counted(app, peer):
    server = await peer(echo)

    @app.ws(server.url)
    async def handler(ws):
        await ws.send("größe")
        await ws.send(b"12")
        assert (await ws.recv()).text == "größe"
        async for message in ws:
            assert message.data == b"12"
            break
        await ws.close(4000)

    await run(app)
    assert (metrics.sent_messages.total, metrics.sent_bytes.total) == (2, 9)
    assert metrics.received_messages.total == 2
    assert metrics.outbound_closes.values == {("4000", "client"): 1}
    assert metrics.closes.values == {}


async def test_open_connections_are_counted_while_they_are_open(app, peer):
    server = await peer(listen)

    async def handler(ws):
        await ws.recv()

    for _ in range(2):
        app.ws(server.url)(handler)
    async with running(app) as it:
        await soon(lambda: metrics.outbound_connections.value == 2)
        assert metrics.outbound_routes.values[("connected",)] == 2
        assert metrics.draining.value == 0
        it.stop()
        assert metrics.draining.value == 1
        await it.ended()
    assert metrics.draining.value == 0
    assert metrics.outbound_connections.value == 0
