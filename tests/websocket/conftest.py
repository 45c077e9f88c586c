"""Fixtures for WebSockets without a server."""

import pytest

from django_fastws.transports import find_transport
from django_fastws.websocket import InboundWebSocket
from tests.transports.conftest import _end_of_tasks, server  # noqa: F401 (fixtures)


@pytest.fixture
async def ws(server):  # noqa: F811 (the fixture)
    """A socket that came in, and was accepted."""
    server.inbox.put_nowait({"type": "websocket.connect"})
    transport = find_transport(server.scope, server.receive, server.send)
    await transport.receive()
    ws = InboundWebSocket(transport, path_params={"room": "a"}, tags=["site"])
    await ws.accept()
    server.events.clear()
    yield ws
    ws.release()
