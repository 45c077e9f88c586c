"""Brokers that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from django_fastws.layer import BrokerClient

__all__ = ["Clients", "FakeClient", "fake_broker"]


def fake_broker(**methods: Any) -> Callable[[], Any]:
    """A ``get_broker`` whose broker has these methods, and no other."""
    broker = SimpleNamespace(**methods)
    return lambda: broker


class FakeClient(BrokerClient):
    """A client that remembers its groups, can be held at a call, and can fail."""

    def __init__(self, deliver):
        super().__init__(deliver)
        self.groups = set()
        self.calls = []
        #: Groups whose subscription is being made again.
        self.lost = set()
        self.gates = {call: asyncio.Event() for call in ("subscribe", "unsubscribe", "resubscribed", "close")}
        for gate in self.gates.values():
            gate.set()
        self.fails = {}
        self.closed = False

    async def subscribe(self, group):
        await self._pass("subscribe", group)
        self.groups.add(group)

    async def unsubscribe(self, group):
        await self._pass("unsubscribe", group)
        self.groups.discard(group)

    def is_subscribed(self, group):
        return group not in self.lost

    async def resubscribed(self, group):
        await self._pass("resubscribed", group)

    def hold(self):
        self.calls.append(("hold", None))

    def resume(self):
        self.calls.append(("resume", None))

    async def close(self):
        await self._pass("close", None)
        self.closed = True

    async def _pass(self, call, group):
        assert not self.closed
        self.calls.append((call, group))
        await self.gates[call].wait()
        errors = self.fails.get(call)
        if errors:
            raise errors.pop(0)

    @property
    def short(self):
        """The calls in short: "+lobby", "-lobby" and "close"."""
        signs = {"subscribe": "+", "unsubscribe": "-"}
        return [signs.get(call, call) + (group or "").removeprefix("fastws.n.") for call, group in self.calls]


class Clients(list):
    """Every client that hubs made, in order; the settings of those to come."""

    refresh_seconds = None

    def make(self, deliver):
        made = FakeClient(deliver)
        made.refresh_seconds = self.refresh_seconds
        self.append(made)
        return made
