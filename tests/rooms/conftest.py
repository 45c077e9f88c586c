"""Fixtures for the tests of rooms."""

import math

import pytest

from django_fastws._core import pacing
from django_fastws.rooms import scheduler, subscriptions
from django_fastws.rooms.hub import Hub
from tests.support.brokers import Clients, fake_broker


@pytest.fixture
async def clients(monkeypatch):
    clients = Clients()
    monkeypatch.setattr(subscriptions, "get_broker", fake_broker(client=clients.make))
    monkeypatch.setattr(pacing, "_SHORTEST", math.inf)  # however slow the machine
    return clients


@pytest.fixture
async def hub(clients):
    return Hub()


@pytest.fixture
def step_by_step(monkeypatch):
    """One step of one fan-out in each turn of the loop."""
    monkeypatch.setattr(scheduler, "_SLICE", 0)
