"""Keyed rooms in an event loop: how often a key is sent, in which order, and what is found after an outage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from django_fastws import Latest, Room
from django_fastws._core.envelope import Envelope
from django_fastws._core.json import loads
from django_fastws._core.latest import Keyed
from django_fastws._core.latest_values import LatestValues
from django_fastws._core.messages import Payload
from django_fastws._core.positions import Position
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer.local import LocalBroker
from django_fastws.rooms import current_hub, encode_values
from django_fastws.rooms.latest_rooms import LatestRoom, LatestRooms
from tests.live.client import Gate, client, declare
from tests.site.client import token


class Clock:
    """An event loop's clock and timers, without the loop."""

    class Timer:
        def __init__(self, due: float, function: Callable[[], None]) -> None:
            self.due, self.function, self.is_cancelled = due, function, False

        def cancel(self) -> None:
            self.is_cancelled = True

    def __init__(self) -> None:
        self.now = 3.0  # a machine that has just been started
        self.timers: list[Clock.Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, function: Callable[[], None]) -> Timer:
        self.timers.append(made := self.Timer(due, function))
        return made

    def advance(self, seconds: float) -> None:
        ends = self.now + seconds
        while due := [one for one in self.timers if one.due <= ends and not one.is_cancelled]:
            first = min(due, key=lambda one: one.due)
            self.timers.remove(first)
            self.now = max(self.now, first.due)
            first.function()
        self.now = ends


class Watched:
    """A keyed room on a clock of its own; ``told`` is what its members get, with the time."""

    def __init__(self, clock: Clock, latest: Latest) -> None:
        self.clock, self.told = clock, []
        self.room = LatestRoom("fastws.n.x", latest, self._deliver)

    def _deliver(self, envelope: Envelope) -> None:
        keyed = envelope.keyed
        assert keyed is not None
        self.told.append((round(self.clock.now - 3, 6), keyed.key, "-" if keyed.is_removed else envelope.data))

    def receive(self, key: str, data: Any, number: int | None, epoch: str = "e") -> None:
        self.room.receive(value(key, data, number, epoch))

    def found(self, values: dict[str, Any], top: int, before: int | None = None, epoch: str = "e") -> None:
        self.room.found(values_of(values, top, epoch), self.room.top if before is None else before)

    def taken(self) -> list[Any]:
        taken, self.told = [(key, data) for _, key, data in self.told], []
        return taken


def value(key: str, data: Any, number: int | None, epoch: str = "e") -> Envelope:
    made = Envelope.broadcast("fastws.n.x", Payload(str(data)), is_json=True, keyed=Keyed(key, data == "-", None))
    made.position = None if number is None else Position(epoch, number)
    return made


def values_of(values: dict[str, tuple[Any, int]], top: int, epoch: str = "e") -> LatestValues:
    kept = {key: value(key, data, number, epoch) for key, (data, number) in values.items()}
    return LatestValues(Position(epoch, top), kept)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


@pytest.fixture
def watch(clock):
    return lambda latest=None: Watched(clock, latest or Latest())


# How often


def test_a_key_is_sent_at_most_so_often_and_its_last_value_always(clock, watch):
    watched = watch(Latest(rate="8/s"))
    for number in range(1, 26):
        watched.receive("a", number, number)
        clock.advance(1 / 64)
    clock.advance(1)
    assert watched.told == [
        (0.0, "a", "1"),
        (0.125, "a", "8"),
        (0.25, "a", "16"),
        (0.375, "a", "24"),
        (0.5, "a", "25"),
    ]


def test_keys_do_not_wait_for_each_other(clock, watch):
    watched = watch(Latest(rate="1/s"))
    for number, key in enumerate("abcabc", 1):
        watched.receive(key, number, number)
        clock.advance(0.125)
    assert watched.taken() == [("a", "1"), ("b", "2"), ("c", "3")]
    clock.advance(0.25)
    assert watched.told == [(1.0, "a", "4")]
    clock.advance(1)
    assert watched.told == [(1.0, "a", "4"), (1.125, "b", "5"), (1.25, "c", "6")]


def test_a_key_that_has_been_quiet_for_long_enough_is_sent_at_once(clock, watch):
    watched = watch(Latest(rate="1/h"))  # longer than this machine is up
    watched.receive("a", 1, 1)
    watched.receive("b", 2, 2)
    clock.advance(3600)
    watched.receive("a", 3, 3)
    assert watched.taken() == [("a", "1"), ("b", "2"), ("a", "3")]
    assert clock.timers == []


def test_without_a_rate_all_are_sent_as_they_come(clock, watch):
    watched = watch()
    for number in range(1, 4):
        watched.receive("a", number, number)
    assert watched.taken() == [("a", "1"), ("a", "2"), ("a", "3")]


def test_a_removal_takes_the_place_of_a_value_that_waits(clock, watch):
    watched = watch(Latest(rate="1/s"))
    watched.receive("a", 1, 1)
    watched.receive("a", 2, 2)
    watched.receive("a", "-", 3)
    clock.advance(5)
    assert watched.told == [(0.0, "a", "1"), (1.0, "a", "-")]


def test_nothing_is_sent_in_a_room_that_is_over(clock, watch):
    watched = watch(Latest(rate="1/s"))
    watched.receive("a", 1, 1)
    watched.receive("a", 2, 2)
    watched.room.close()
    clock.advance(5)
    assert watched.taken() == [("a", "1")]
    watch().room.close()  # which has no timer


def test_what_is_known_of_keys_is_forgotten_with_them(clock, watch):
    watched = watch(Latest(rate="100/s", seconds=1))
    for number in range(1, 5001):
        watched.receive(f"key {number}", number, number)
        clock.advance(0.001)
    assert len(watched.told) == 5000
    assert len(watched.room._sent) <= 12
    assert len(watched.room._known) <= 1002
    for number in range(5001, 7001):
        watched.receive(f"key {number}", "-", number)
    assert len(watched.room._removed) == 1000


# In which order


def test_of_each_key_what_is_older_than_what_has_come_is_passed_over(clock, watch):
    order = list(range(1, 200))
    random.Random(5).shuffle(order)
    watched = watch()
    for number in order:
        watched.receive("ab"[number % 2], number, number)
    for key in "ab":
        numbers = [int(data) for _, one, data in watched.told if one == key]
        assert numbers == sorted(numbers)
    assert [data for _, _, data in watched.told][-1] in ("198", "199")
    assert {"198", "199"} <= {data for _, _, data in watched.told}


def test_a_value_that_is_older_than_its_removal_does_not_come_back(clock, watch):
    watched = watch()
    watched.receive("a", 1, 1)
    watched.receive("a", "-", 3)
    watched.receive("a", 2, 2)
    assert watched.taken() == [("a", "1"), ("a", "-")]
    watched.receive("a", 4, 4)
    assert watched.taken() == [("a", "4")]


def test_values_that_the_layer_has_not_kept_have_no_order(clock, watch):
    watched = watch()
    for number in (1, 2, 1):
        watched.receive("a", number, None)
    assert watched.taken() == [("a", "1"), ("a", "2"), ("a", "1")]


def test_numbers_of_another_epoch_begin_anew(clock, watch):
    watched = watch()
    watched.receive("a", 1, 100, "e")
    watched.receive("a", 2, 1, "f")
    watched.receive("a", 3, 2, "f")
    assert watched.taken() == [("a", "1"), ("a", "2"), ("a", "3")]


# After an outage


def test_what_was_missed_is_sent_and_what_is_gone(clock, watch):
    watched = watch()
    for number, key in enumerate("abc", 1):
        watched.receive(key, number, number)
    watched.taken()
    watched.found({"a": (1, 1), "b": (7, 4), "d": (8, 6)}, top=6)
    assert sorted(watched.taken()) == [("b", "7"), ("c", "-"), ("d", "8")]
    watched.found({"a": (1, 1), "b": (7, 4), "d": (8, 6)}, top=6)
    assert watched.taken() == []


def test_what_comes_while_the_values_are_read_is_newer(clock, watch):
    watched = watch()
    watched.receive("a", 1, 1)
    before = watched.room.top
    watched.receive("a", 3, 3)
    watched.receive("b", 4, 4)
    watched.taken()
    watched.found({"a": (2, 2)}, top=2, before=before)
    assert watched.taken() == []
    watched.receive("a", 5, 5)
    assert watched.taken() == [("a", "5")]


def test_a_value_older_than_what_is_gone_does_not_come_back(clock, watch):
    watched = watch()
    watched.receive("a", 1, 1)
    watched.found({}, top=3)
    watched.receive("a", 2, 2)
    assert watched.taken() == [("a", "1"), ("a", "-")]


@pytest.mark.parametrize(("epoch", "top"), [("f", 0), ("f", 1), ("e", 2)], ids=["flushed", "another", "behind"])
def test_a_layer_that_has_lost_values_is_followed(clock, watch, epoch, top):
    watched = watch()
    for number in range(1, 6):
        watched.receive("a", number, number)
    watched.receive("b", 6, 6)
    watched.taken()
    watched.found({"a": (2, top)} if top else {}, top=top, epoch=epoch)
    assert watched.taken() == ([("a", "2")] if top else [("a", "-")]) + [("b", "-")]
    watched.receive("b", 7, top + 1, epoch)
    assert watched.taken() == [("b", "7")]


def test_keys_of_an_epoch_that_is_over_are_known_to_be_gone(clock, watch):
    watched = watch()
    watched.receive("a", 1, 10, "e")
    watched.receive("b", 2, 1, "f")
    watched.taken()
    watched.found({"b": (2, 1)}, top=1, epoch="f")
    assert watched.taken() == [("a", "-")]


def test_what_is_found_waits_as_any_value_does(clock, watch):
    watched = watch(Latest(rate="1/s"))
    watched.receive("a", 1, 1)
    watched.receive("a", 2, 2)
    watched.found({"a": (3, 3)}, top=3)
    clock.advance(5)
    assert watched.told == [(0.0, "a", "1"), (1.0, "a", "3")]


def test_what_members_began_with_is_gone_if_it_is_not_found(clock, watch):
    watched = watch()
    watched.room.seen(values_of({"a": (1, 1), "b": (2, 2)}, 2))
    assert watched.taken() == []
    watched.found({"b": (2, 2)}, top=3)
    assert ("a", "-") in watched.taken()


def test_nothing_older_than_what_a_member_began_with_comes_behind_that(clock, watch):
    watched = watch(Latest(rate="1/s"))
    watched.receive("a", 1, 1)
    watched.receive("a", 2, 2)  # it waits
    watched.room.seen(values_of({"a": (3, 3)}, 3))
    clock.advance(5)
    assert watched.told == [(0.0, "a", "1"), (1.0, "a", "3")]


def test_what_is_on_its_way_is_not_sent_behind_a_state_that_is_newer(clock, watch):
    watched = watch()
    watched.room.seen(values_of({"a": (3, 3), "b": (5, 5)}, 5))
    for key, number in (("a", 1), ("b", 4), ("a", 2)):
        watched.receive(key, number, number)
    assert watched.taken() == []
    watched.receive("a", 3, 3)  # which members who were there before have not had
    watched.receive("b", 5, 5)
    watched.receive("a", 6, 6)
    assert watched.taken() == [("a", "3"), ("b", "5"), ("a", "6")]


def test_a_state_of_another_epoch_begins_anew(clock, watch):
    watched = watch()
    watched.receive("a", 1, 100, "e")
    watched.receive("b", 2, 101, "e")
    watched.room.seen(values_of({"a": (3, 2)}, 2, "f"))
    watched.receive("a", 4, 3, "f")
    assert watched.taken() == [("a", "1"), ("b", "2"), ("a", "4")]
    watched.found({"a": (4, 3)}, top=3, epoch="f")
    assert watched.taken() == [("b", "-")]


# Together


def test_values_are_encoded_by_key():
    texts = Envelope.broadcast(
        "fastws.n.x", Payload("text", is_text=True), is_json=False, keyed=Keyed('"', False, None)
    )
    values = LatestValues(Position("e", 2), {"a": value("a", '{"bid": 5}', 1), '"': texts})
    assert loads(encode_values(values)) == {"a": {"bid": 5}, '"': "text"}
    assert encode_values(LatestValues(Position("e", 0), {})) == b"{}"


@pytest.fixture
def here(settings):
    settings.CHANNEL_LAYERS = {}


async def test_rooms_are_read_again_if_the_layer_was_away_once_more_meanwhile(here, routes, monkeypatch):
    declare("prices-{key}", latest=Latest())
    name, told, gate, reads = f"prices-{token()}", [], Gate(), []
    read = LocalBroker.aread_latest

    async def slowly(self, group, latest):
        values = await read(self, group, latest)
        reads.append(group)
        await gate.wait()
        return values

    monkeypatch.setattr(LocalBroker, "aread_latest", slowly)
    rooms = LatestRooms(lambda envelope: told.append(envelope.data))
    rooms.begin(group := f"fastws.n.{name}", name)
    try:
        broker = LocalBroker()
        monkeypatch.setattr("django_fastws.rooms.latest_rooms.get_broker", lambda: broker)
        rooms.check_all()
        await gate.came.wait()
        kept = Envelope.broadcast(group, Payload("7"), is_json=True, keyed=Keyed("a", False, Latest()))
        await broker.apublish(kept)
        rooms.check_all()
        gate.open()
        await rooms._check
        assert (told, reads) == (["7"], [group, group])
    finally:
        rooms.end(group)
    assert not rooms.receive(kept)
    rooms.seen(group, values_of({}, 0))
    rooms.end(group)


async def test_a_layer_that_is_away_again_is_asked_when_it_is_back(here, routes, monkeypatch):
    declare("prices-{key}", latest=Latest())
    name = f"prices-{token()}"
    failed = asyncio.Event()

    async def away(self, *args):
        failed.set()
        raise WebSocketConnectionError("away")

    async with client() as one:
        await one.join(name)
        with monkeypatch.context() as outage:
            outage.setattr(LocalBroker, "aread_latest", away)
            outage.setattr(LatestRooms, "receive", lambda self, envelope: True)
            await Room(name).abroadcast(1, key="a")
            current_hub()._restored()
            await failed.wait()
            await asyncio.sleep(0)
        current_hub()._restored()
        assert await one.next() == {"room": name, "key": "a", "data": 1}


async def test_a_key_removed_during_an_outage_is_told_to_who_only_had_the_state(here, routes, monkeypatch):
    declare("prices-{key}", latest=Latest())
    name = f"prices-{token()}"
    await Room(name).abroadcast(1, key="a")
    async with client() as one:
        assert (await one.join(name))["state"] == {"a": 1}
        with monkeypatch.context() as outage:
            outage.setattr(LatestRooms, "receive", lambda self, envelope: True)
            await Room(name).aremove("a")
        current_hub()._restored()
        assert await one.next() == {"room": name, "key": "a", "removed": True}
