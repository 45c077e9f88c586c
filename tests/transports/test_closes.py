"""Which end has closed a connection, as metrics have it, on every server that a transport knows."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import FastWS, WebSocketException, metrics
from django_fastws.asgi import get_asgi_application
from tests.transports.connections import DAPHNE, UVICORN, on, served
from tests.transports.fakes import turns

SERVERS = [DAPHNE[0], *UVICORN]


@pytest.fixture
def application(routes):
    metrics.reset()
    app = FastWS()

    @app.websocket("/listening")
    async def listening(ws):
        await ws.accept()
        async for _ in ws:
            pass

    @app.websocket("/closing")
    async def closing(ws):
        await ws.accept()
        await ws.close(4001, "enough")

    @app.websocket("/raising")
    async def raising(ws):
        await ws.accept()
        raise WebSocketException(4002)

    @app.websocket("/returning")
    async def returning(ws):
        await ws.accept()

    @app.websocket("/idle", idle_timeout=0.01)
    async def idle(ws):
        await ws.accept()
        await ws.receive()

    yield get_asgi_application()
    metrics.reset()


async def closed_with() -> tuple[str, str]:
    """The code and the end, when the connection has ended."""
    async with asyncio.timeout(20):
        while not metrics.closes.total:
            await turns()
    ((labels, count),) = metrics.closes.values.items()
    assert count == 1
    assert metrics.connection_seconds.values[()].count == 1
    return labels  # type: ignore[return-value]  # there are two


@on(*SERVERS)
@pytest.mark.parametrize(
    ("path", "code"), [("/closing", "4001"), ("/raising", "4002"), ("/returning", "1000"), ("/idle", "1008")]
)
async def test_the_server_has_closed(kind, path, code, application):
    async with served(kind, application, path) as client:
        await client.receive_end()
        assert await closed_with() == (code, "server")


@on(*SERVERS)
async def test_the_client_has_closed(kind, application):
    async with served(kind, application, "/listening") as client:
        await client.close(4003)
        assert await closed_with() == ("4003", "client")


@on(*SERVERS)
async def test_the_client_was_cut_off(kind, application):
    async with served(kind, application, "/listening") as client:
        client.reset()
        assert await closed_with() == ("1006", "client")
