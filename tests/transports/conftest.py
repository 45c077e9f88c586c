"""Fixtures for the wires."""

import pytest

from django_fastws.transports.find import find_wire
from tests.transports.fakes import Server, end_tasks


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def wire(server):
    """The plain wire, on a server that is not there."""
    wire = find_wire(server.scope, server.receive, server.send)
    yield wire
    wire.release()


@pytest.fixture(autouse=True)
async def _end_of_tasks():
    yield
    await end_tasks()
