"""Continuity of rooms with history: whatever becomes of what arrives, members get each event once, in order."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import History, Position, WebSocketConnectionError
from django_fastws._core.envelope import Envelope
from django_fastws._core.history_checks import encode_history_check
from django_fastws._core.history_page import PageQuery
from django_fastws._core.messages import Payload
from django_fastws.layer import get_broker
from django_fastws.layer.local import LocalBroker
from django_fastws.rooms.continuity import Continuity
from django_fastws.rooms.room_history import LayerHistory
from tests.site.client import LIMIT, token
from tests.support.examples import examples

HISTORY = History(messages=6)


class Room:
    """A room of which nothing arrives by itself, and what its continuity passes on."""

    def __init__(self, history=HISTORY):
        self.history = history
        self.got = []
        self.stored = []
        kept = LayerHistory(token(), history)
        self.group = kept.group
        self.continuity = Continuity(kept, self._deliver, self._lost)

    def _deliver(self, envelope):
        self.got.append(envelope.position)

    def _lost(self):
        self.got.append(None)

    async def publish(self):
        envelope = Envelope.broadcast(self.group, Payload(str(len(self.stored))), history=self.history)
        await get_broker().apublish(envelope)
        self.stored.append(envelope)

    async def clear(self):
        await get_broker().aclear_history(encode_history_check(self.group), self.history)

    async def top(self):
        page = await get_broker().aread_history(self.group, self.history, PageQuery(limit=0))
        return Position(page.epoch, page.top)

    async def settled(self):
        """It has everything that the history has."""
        async with asyncio.timeout(LIMIT):
            await self.continuity.checked()
            while self.continuity._repair is not None:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def check(self, begins):
        """What was passed on has no hole but where that was told, and nothing twice."""
        last = begins
        for position in self.got:
            if position is None:
                last = None
            else:
                assert last is None or position == (last.epoch, last.offset + 1), self.got
                last = position
        told = [position for position in self.got if position is not None]
        assert len(set(told)) == len(told)


@pytest.fixture(autouse=True)
def in_memory(settings):
    settings.CHANNEL_LAYERS = {}


OPERATION = st.one_of(
    st.just("publish"),
    st.just("publish"),
    st.just("clear"),
    st.just("check"),
    st.just("turn"),
    st.integers(0, 12),  # one of the last arrives, for the first time or again
)


@settings(max_examples=examples(150), suppress_health_check=list(HealthCheck))
@given(before=st.integers(0, 3), operations=st.lists(OPERATION, max_size=40))
def test_what_arrives_late_twice_or_never_comes_once_and_in_order(before, operations):
    async def run():
        room = Room()
        for _ in range(before):
            await room.publish()
        await room.continuity.open()
        begins = room.continuity.position
        for operation in operations:
            if operation == "publish":
                await room.publish()
            elif operation == "clear":
                await room.clear()
            elif operation == "check":
                room.continuity.check()
            elif operation == "turn":
                await asyncio.sleep(0)
            elif room.stored:
                room.continuity.receive(room.stored[-1 - operation % len(room.stored)])
        await room.settled()
        room.check(begins)
        assert room.continuity.position == await room.top()
        if None not in room.got and begins.epoch == room.continuity.position.epoch:
            assert len(room.got) == room.continuity.position.offset - begins.offset

    asyncio.run(run())


async def test_what_arrives_while_a_hole_is_filled_comes_behind_it():
    room = Room()
    await room.continuity.open()
    for _ in range(4):
        await room.publish()
    room.continuity.receive(room.stored[3])
    assert room.got == []  # it is read
    await room.publish()
    room.continuity.receive(room.stored[4])
    await room.settled()
    assert [position.offset for position in room.got] == [1, 2, 3, 4, 5]


async def test_a_hole_that_the_history_does_not_have_is_told_once_and_it_goes_on_behind_it():
    room = Room()
    await room.continuity.open()
    for _ in range(20):
        await room.publish()
    room.continuity.receive(room.stored[-1])
    await room.settled()
    assert room.got == [None]
    await room.publish()
    room.continuity.receive(room.stored[-1])
    assert room.got == [None, room.stored[-1].position]


async def test_a_layer_that_is_away_is_asked_again(monkeypatch):
    room, failures = Room(), iter(range(3))
    await room.continuity.open()
    await room.publish()
    read = LocalBroker.aread_history

    async def away(self, *args):
        if next(failures, None) is not None:
            raise WebSocketConnectionError("away")
        return await read(self, *args)

    monkeypatch.setattr(LocalBroker, "aread_history", away)
    monkeypatch.setattr("django_fastws.rooms.continuity.delays", lambda **options: iter(lambda: 0.001, None))
    await room.settled()
    assert [position.offset for position in room.got] == [1]


async def test_a_room_that_cannot_be_opened_says_so_and_can_be_opened_later(monkeypatch):
    room = Room()

    async def away(self, *args):
        raise WebSocketConnectionError("away")

    with monkeypatch.context() as outage:
        outage.setattr(LocalBroker, "aread_history", away)
        for _ in range(2):
            with pytest.raises(WebSocketConnectionError, match="away"):
                await room.continuity.open()
    await room.continuity.open()
    assert room.continuity.position.offset == 0


async def test_a_page_is_read_after_another_where_there_is_much():
    room = Room(History(messages=5000))
    await room.continuity.open()
    for _ in range(2500):
        await room.publish()
    await room.settled()
    assert [position.offset for position in room.got] == list(range(1, 2501))


async def gated(monkeypatch):
    """Reading waits behind the read itself: returns an event for when it has come, and one for it to go on."""
    came, go, read = asyncio.Event(), asyncio.Event(), LocalBroker.aread_history

    async def slow(self, *args):
        page = await read(self, *args)
        came.set()
        await go.wait()
        return page

    monkeypatch.setattr(LocalBroker, "aread_history", slow)
    return came, go


async def test_what_is_to_be_looked_at_while_it_is_read_is_looked_at_then(monkeypatch):
    room = Room()
    await room.continuity.open()
    with monkeypatch.context() as slowly:
        came, go = await gated(slowly)
        room.continuity.check()
        await came.wait()
        await room.publish()
        room.continuity.check()  # what that has to find was stored after the read
        go.set()
        async with asyncio.timeout(LIMIT):
            while not room.got:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
    assert [position.offset for position in room.got] == [1]


async def test_a_room_that_is_over_before_it_was_opened_passes_nothing_on(monkeypatch):
    room = Room()
    with monkeypatch.context() as slowly:
        came, go = await gated(slowly)
        opening = asyncio.create_task(room.continuity.open())
        await came.wait()
        await room.publish()
        room.continuity.receive(room.stored[0])
        room.continuity.close()
        go.set()
        await asyncio.wait([opening], timeout=LIMIT)
    assert room.got == []


async def test_a_room_that_is_over_while_a_hole_is_filled_cancels_nobody(monkeypatch):
    room = Room()
    await room.continuity.open()
    with monkeypatch.context() as slowly:
        came, go = await gated(slowly)
        checking = asyncio.create_task(room.continuity.checked())
        await came.wait()
        await room.publish()
        room.continuity.close()
        go.set()
        await asyncio.wait_for(checking, LIMIT)
    assert room.got == []


async def test_what_is_found_of_a_room_that_is_over_is_passed_on_by_nobody():
    """Its members of then may have come back by now, and get it from a continuity that has begun since."""
    room = Room()
    await room.continuity.open()
    await room.publish()
    page = await get_broker().aread_history(room.group, room.history, PageQuery(limit=0))
    room.continuity.close()
    room.continuity.found(page)
    room.continuity.check()
    assert room.continuity._repair is None
    await asyncio.sleep(0.01)
    assert room.got == []
