"""Fixtures for the transports."""

import pytest

from django_fastws.transports.find import find_transport
from tests.transports.fakes import Server, end_tasks


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def transport(server):
    """The plain transport, on a server that is not there."""
    transport = find_transport(server.scope, server.receive, server.send)
    yield transport
    transport.release()


@pytest.fixture(autouse=True)
async def _end_of_tasks():
    yield
    await end_tasks()
