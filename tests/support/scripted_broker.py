"""A broker of one process, whose layer does nothing by itself: a test decides when each thing happens in it.

What the process asks for happens in two steps: the layer does it, and the answer comes back. What is published is on
its way until it is delivered. The connection may be lost: then whatever was on its way is gone.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from django_fastws import History, Position, WebSocketConnectionError
from django_fastws._core.envelope import Envelope
from django_fastws._core.history_checks import encode_history_check
from django_fastws._core.history_page import HistoryPage, PageQuery
from django_fastws.layer import Broker, BrokerClient, LayerStatus
from django_fastws.layer.memory_history import MemoryHistories

__all__ = ["ScriptedBroker", "ScriptedClient", "Step"]


class Step:
    """What somebody waits for.

    Attributes:
        effect: does it, and returns the answer.
        is_done: the layer has done it; the answer is on its way.
        needs_layer: it cannot be done while the connection is lost.
    """

    def __init__(self, name: str, effect: Callable[[], Any], *, needs_layer: bool = True) -> None:
        self.name = name
        self.effect = effect
        self.needs_layer = needs_layer
        self.is_done = False
        self.answer: Any = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class ScriptedBroker(Broker):
    """The broker, and the layer behind it.

    Args:
        clock: seconds, for the histories.

    Attributes:
        steps: what is waited for, in the order in which it was asked for.
        flying: what is on its way to clients.
        is_lost: the process is cut off.
    """

    has_history = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self.histories = MemoryHistories(clock)
        self.steps: list[Step] = []
        self.flying: list[tuple[ScriptedClient, Envelope]] = []
        self.is_lost = False
        self.clients: list[ScriptedClient] = []
        #: What the layer sends to whom.
        self.subscriptions: set[tuple[ScriptedClient, str]] = set()

    # What the test does

    async def wait_for(self, name: str, effect: Callable[[], Any], *, needs_layer: bool = True) -> Any:
        """Wait until the test has had something done, and has answered."""
        step = Step(name, effect, needs_layer=needs_layer)
        self.steps.append(step)
        try:
            return await step.future
        finally:
            if step in self.steps:
                self.steps.remove(step)

    def go_on(self, step: Step) -> None:
        """Have a step done, or, where it is, answered."""
        if not step.is_done:
            if not (self.is_lost and step.needs_layer):
                step.is_done, step.answer = True, step.effect()
        elif not step.future.done():
            self.steps.remove(step)
            step.future.set_result(step.answer)

    def fail(self, step: Step) -> None:
        """Answer that the layer cannot be reached, though it may have been done."""
        if step.needs_layer and not step.future.done():
            self.steps.remove(step)
            step.future.set_exception(WebSocketConnectionError("cannot: on purpose"))

    def publish_elsewhere(self, envelope: Envelope) -> Position:
        """Store and publish an envelope, as another process does."""
        assert envelope.history is not None
        position, _ = self.histories.store(envelope, envelope.history)
        self._send(envelope)
        return position

    def clear_elsewhere(self, group: str, history: History) -> None:
        """Clear a history, as another process does."""
        self.histories.clear(group, history)
        self._send(encode_history_check(group))

    def _send(self, envelope: Envelope) -> None:
        self.flying += [(client, envelope) for client, group in self.subscriptions if group == envelope.room]

    def deliver(self, place: int, *, again: bool = False) -> None:
        """Deliver what is on its way; it may be on its way once more."""
        client, envelope = self.flying[place] if again else self.flying.pop(place)
        if envelope.room in client.delivering:
            client.deliver(dataclasses.replace(envelope))

    def lose(self) -> None:
        """Cut the process off."""
        self.is_lost = True
        self.flying.clear()
        self.subscriptions.clear()
        for step in self.steps:
            if step.needs_layer and step.name != "read":
                step.is_done = False
        for client in self.clients:
            client.was_cut_off |= bool(client.confirmed)

    def restore(self) -> None:
        """Connect the process again, with its subscriptions."""
        self.is_lost = False
        for client in self.clients:
            self.subscriptions |= {(client, group) for group in client.confirmed & client.delivering}
            if client.was_cut_off:
                client.was_cut_off = False
                client.restored()

    # What the package calls

    async def apublish(self, envelope: Envelope) -> Position | None:
        raise NotImplementedError

    def publish(self, envelope: Envelope) -> Position | None:
        raise NotImplementedError

    async def aread_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        page = await self.wait_for("read", lambda: self.histories.read(group, history, query))
        stored = [one._replace(envelope=dataclasses.replace(one.envelope)) for one in page.stored]
        return HistoryPage(page.epoch, page.top, stored)

    async def check(self, seconds: float = 2.0) -> None:
        await self.wait_for("check", lambda: None)

    @property
    def status(self) -> LayerStatus:
        return LayerStatus(is_reachable=not self.is_lost)

    def client(self, deliver: Callable[[Envelope], None]) -> ScriptedClient:
        made = ScriptedClient(deliver, self)
        self.clients.append(made)
        return made


class ScriptedClient(BrokerClient):
    """Subscriptions of the process.

    Attributes:
        delivering: groups of which it takes what comes.
        confirmed: groups whose subscription was answered.
        was_cut_off: some of these were lost since.
    """

    def __init__(self, deliver: Callable[[Envelope], None], broker: ScriptedBroker) -> None:
        super().__init__(deliver)
        self._broker = broker
        self.delivering: set[str] = set()
        self.confirmed: set[str] = set()
        self.was_cut_off = False

    async def subscribe(self, group: str) -> None:
        self.delivering.add(group)
        try:
            await self._broker.wait_for("subscribe", lambda: self._broker.subscriptions.add((self, group)))
        except BaseException:
            self._drop(group)
            raise
        self.confirmed.add(group)

    async def unsubscribe(self, group: str) -> None:
        self._drop(group)
        await self._broker.wait_for("unsubscribe", lambda: None)

    def _drop(self, group: str) -> None:
        self.delivering.discard(group)
        self.confirmed.discard(group)
        self._broker.subscriptions.discard((self, group))

    def is_subscribed(self, group: str) -> bool:
        return group in self.confirmed and not self._broker.is_lost

    async def resubscribed(self, group: str) -> None:
        await self._broker.wait_for("resubscribe", lambda: None)

    async def close(self) -> None:
        self._broker.clients.remove(self)
