"""What an event loop knows of who is present in a room, and what it tells the members."""

from __future__ import annotations

import asyncio
import json

import pytest

from django_fastws import Presence
from django_fastws._core.presence_reports import PresenceChange, PresenceDiff, PresenceSnapshot, PresentKey
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.rooms import presence_rooms
from django_fastws.rooms.presence_rooms import PresenceRoom
from django_fastws.testing import virtual_time


def here(connections=1, meta=b"null"):
    return PresentKey(meta, connections, 0.0)


def diff(v, total=0, **changes):
    """A diff of keys that have "joined", "left" or "changed"."""
    return PresenceDiff(v, total, [PresenceChange(kind, key, here()) for key, kind in changes.items()])


class Layer:
    """What is read, and how often; it waits while it is closed."""

    def __init__(self):
        self.snapshot = PresenceSnapshot(10, 0, {}, ())
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()
        self.error = None

    def says(self, v, *keys, recent=()):
        self.snapshot = PresenceSnapshot(v, len(keys), {key: here() for key in keys}, recent)

    async def read(self, name, *, counts_only=False):
        self.reads += 1
        snapshot = self.snapshot
        await self.open.wait()
        if self.error is not None:
            raise self.error
        return snapshot._replace(keys={}) if counts_only else snapshot


@pytest.fixture
async def layer(monkeypatch):
    layer = Layer()
    monkeypatch.setattr(presence_rooms, "aread_presence", layer.read)
    return layer


@pytest.fixture
async def time():
    async with virtual_time() as time:
        yield time


class Told(list):
    """What members were told, without the room's name."""

    def take(self):
        taken = [json.loads(payload.raw) for payload in self]
        self.clear()
        for one in taken:
            assert one.pop("room") == "r"
        return taken


@pytest.fixture
def told():
    return Told()


@pytest.fixture
async def room(layer, told):
    room = PresenceRoom("r", Presence(), told.append)
    yield room
    room.close()


def part(room, since=None):
    return json.loads(b"{%b}" % room.part(since))


async def test_the_first_who_joins_has_it_read_once_for_all_who_join_meanwhile(room, layer, told, time):
    layer.says(12, "a", "b")
    await asyncio.gather(*(room.reach(diff(12)) for _ in range(20)))
    assert layer.reads == 1
    one = {"meta": None, "connections": 1}
    assert part(room) == {"present": {"a": one, "b": one}, "v": 12}
    await time.advance(10)
    assert told.take() == []


async def test_diffs_are_told_together_and_later_ones_in_the_next_frame(room, layer, told, time):
    await room.reach(diff(10))
    room.receive(diff(11, a="joined"))
    room.receive(diff(12, b="joined", a="changed"))
    assert told == []
    await time.advance(0.3)
    one = {"meta": None, "connections": 1}
    assert told.take() == [{"presence": {"joined": {"a": one, "b": one}, "left": [], "changed": {}}, "v": 12}]
    changed, left = PresenceChange("changed", "a", here(2)), PresenceChange("left", "b", here())
    room.receive(PresenceDiff(13, 1, [changed, left]))
    await time.advance(0.3)
    two = {**one, "connections": 2}
    assert told.take() == [{"presence": {"joined": {}, "left": ["b"], "changed": {"a": two}}, "v": 13}]
    assert layer.reads == 1


async def test_who_comes_and_goes_within_a_frame_has_left_for_those_who_have_it_in_their_answer(
    room, layer, told, time
):
    await room.reach(diff(10))
    room.receive(diff(11, a="joined"))
    assert set(part(room)["present"]) == {"a"}
    room.receive(diff(12, a="left"))
    await time.advance(0.3)
    assert told.take() == [{"presence": {"joined": {}, "left": ["a"], "changed": {}}, "v": 12}]


async def test_what_is_as_it_was_is_not_told(room, layer, told, time):
    layer.says(10, "a")
    await room.reach(diff(10))
    room.receive(PresenceDiff(11, 1, [PresenceChange("changed", "a", here(2))]))
    room.receive(PresenceDiff(12, 1, [PresenceChange("changed", "a", here(1))]))
    room.receive(diff(13, b="joined"))
    room.receive(diff(14, b="left"))
    await time.advance(1)
    assert told.take() == []
    room.receive(PresenceDiff(15, 1, [PresenceChange("changed", "a", here(2))]))
    assert part(room)["present"]["a"]["connections"] == 2
    room.receive(PresenceDiff(16, 1, [PresenceChange("changed", "a", here(1))]))
    await time.advance(1)
    assert [frame["presence"]["changed"]["a"]["connections"] for frame in told.take()] == [1]


async def test_what_is_known_is_passed_over(room, layer, told, time):
    layer.says(12, "a")
    await room.reach(diff(12))
    for v in (11, 12):
        room.receive(diff(v, b="joined"))
    await time.advance(1)
    assert told.take() == []
    assert layer.reads == 1


async def test_a_hole_is_filled_by_reading_and_what_is_new_is_told(room, layer, told, time):
    layer.says(10, "a", "b")
    await room.reach(diff(10))
    layer.says(13, "b", "c")
    room.receive(diff(13, c="joined"))
    await time.advance(0.3)
    [told_] = told.take()
    assert told_["v"] == 13
    assert (set(told_["presence"]["joined"]), told_["presence"]["left"]) == ({"c"}, ["a"])
    assert layer.reads == 2


async def test_what_arrives_while_it_is_read_follows(room, layer, told, time):
    layer.says(10, "a")
    layer.open.clear()
    joining = asyncio.ensure_future(room.reach(diff(10)))
    await time.advance(0)
    room.receive(diff(9, z="joined"))
    room.receive(diff(10, a="joined"))
    room.receive(diff(11, b="joined"))
    layer.open.set()
    await joining
    assert set(part(room)["present"]) == {"a", "b"}
    assert (room.v, layer.reads) == (11, 1)


async def test_what_arrives_behind_another_hole_is_read_again(room, layer, told, time):
    await room.reach(diff(10))
    layer.open.clear()
    layer.says(12, "a")
    room.receive(diff(12, a="joined"))
    await time.advance(0)
    layer.says(15, "a", "b")
    room.receive(diff(15, b="joined"))
    layer.open.set()
    await time.advance(0.3)
    assert (room.v, layer.reads) == (15, 3)
    assert set(part(room)["present"]) == {"a", "b"}


async def test_a_diff_that_does_not_arrive_is_read(room, layer, told, time):
    await room.reach(diff(10))
    layer.says(11, "a")
    reaching = asyncio.ensure_future(room.reach(diff(11)))
    await time.advance(1.9)
    assert (reaching.done(), layer.reads) == (False, 1)
    await time.advance(0.2)
    await reaching
    assert (room.v, layer.reads) == (11, 2)


async def test_who_waits_for_a_diff_goes_on_when_it_arrives(room, layer, told, time):
    await room.reach(diff(10))
    reaching = asyncio.ensure_future(room.reach(diff(12)))
    for v in (11, 12):
        await time.advance(0)
        assert not reaching.done()
        room.receive(diff(v, a="changed"))
    await reaching
    assert layer.reads == 1


@pytest.mark.parametrize("is_known", [False, True])
async def test_who_joins_and_is_taken_out_meanwhile_waits_no_longer(room, layer, told, time, is_known):
    if is_known:
        await room.reach(diff(10))  # a diff is waited for; else who is present is read
    layer.open.clear()
    reaching = [asyncio.ensure_future(room.reach(diff(11))) for _ in range(2)]
    await time.advance(0)
    room.close()
    await time.advance(0)
    assert [one.done() and one.exception() for one in reaching] == [None, None]
    assert layer.reads == 1


async def test_the_layer_is_away(room, layer, told, time):
    layer.error = WebSocketConnectionError("away")
    with pytest.raises(WebSocketConnectionError, match="away"):
        await room.reach(diff(10))
    layer.error = None
    layer.says(10, "a")
    await room.reach(diff(10))
    layer.error = WebSocketConnectionError("away")
    room.check()
    await time.advance(1)
    assert set(part(room)["present"]) == {"a"}


async def test_a_layer_that_gives_numbers_again_has_members_begin_anew(room, layer, told, time):
    layer.says(20, "a", "b")
    await room.reach(diff(20))
    layer.says(18, "a")
    room.check()
    await time.advance(0.3)
    one = {"meta": None, "connections": 1}
    assert told.take() == [{"present": {"a": one}, "v": 18}]
    room.receive(diff(19, b="joined"))
    await time.advance(0.3)
    assert [frame["v"] for frame in told.take()] == [19]


async def test_a_check_during_a_reading_reads_again(room, layer, told, time):
    await room.reach(diff(10))
    layer.open.clear()
    room.check()
    await time.advance(0)
    layer.says(11, "a")
    room.check()
    layer.open.set()
    await time.advance(0.3)
    assert (room.v, layer.reads) == (11, 3)


async def test_who_comes_back_gets_what_has_changed_if_that_is_known(room, layer, told, time):
    layer.says(12, "a", "b", recent=[(11, {"a": "changed"}), (12, {"c": "left"})])
    await room.reach(diff(12))
    room.receive(diff(13, b="changed"))
    one = {"meta": None, "connections": 1}
    nothing = {"joined": {}, "left": [], "changed": {}}
    assert part(room, 13) == {"presence": nothing, "v": 13}
    assert part(room, 12) == {"presence": {**nothing, "changed": {"b": one}}, "v": 13}
    assert part(room, 11) == {"presence": {**nothing, "changed": {"b": one}, "left": ["c"]}, "v": 13}
    assert part(room, 10)["presence"]["changed"] == {"a": one, "b": one}
    room.receive(diff(14, d="joined"))
    room.receive(diff(15, d="changed", b="left"))
    room.receive(diff(16, b="joined"))
    assert part(room, 13)["presence"] == {"joined": {"d": one}, "left": [], "changed": {"b": one}}
    for unknown in (9, 17, 0, -1, 10**30, -(10**30)):
        assert "present" in part(room, unknown)


async def test_after_an_outage_nobody_is_told_to_have_left_who_has_not_been_reported_again(room, layer, told, time):
    layer.says(10, "a", "b")
    await room.reach(diff(10))
    layer.says(5000, "a")  # it is empty, and the other process is a moment behind
    room.restored()
    room.receive(diff(5000, a="joined"))
    await time.advance(0.5)
    assert (told.take(), layer.reads) == ([], 1)
    layer.says(5001, "a", "b", "c")
    room.receive(diff(5001, b="joined"))
    await time.advance(1)
    assert [(set(one["presence"]["joined"]), one["presence"]["left"]) for one in told.take()] == [({"c"}, [])]
    assert layer.reads == 2


async def test_who_has_left_is_looked_for_here(room, layer, time, monkeypatch):
    lost = []
    monkeypatch.setattr(presence_rooms.current_presence(), "lost", lambda *key: lost.append(key))
    layer.says(10, "a", "b")
    await room.reach(diff(10))
    room.receive(diff(11, a="left", b="changed"))
    assert lost == [("r", "a")]


async def test_any_key_is_a_key(room, layer, told, time):
    keys = ["__proto__", "", 'a "b"', "é\0", "x" * 512, "🙂"]
    layer.says(10, *keys)
    await room.reach(diff(10))
    assert list(part(room)["present"]) == keys


# Counts only


@pytest.fixture
async def counted(layer, told):
    room = PresenceRoom("r", Presence(counts_only=True), told.append)
    yield room
    room.close()


async def test_counts_are_never_read_and_told_where_they_change(counted, layer, told, time):
    await counted.reach(diff(10, total=3))
    assert part(counted) == {"count": 3}
    counted.receive(diff(11, total=4, a="joined"))
    counted.receive(diff(13, total=5, b="joined"))
    await time.advance(0.3)
    assert told.take() == [{"count": 5}]
    counted.receive(diff(14, total=6, a="joined"))
    counted.receive(diff(15, total=5, a="left"))
    counted.receive(diff(12, total=1))
    await time.advance(0.3)
    assert told.take() == []
    assert layer.reads == 0


async def test_what_arrives_before_the_first_join_is_answered_is_counted(counted, told, time):
    counted.receive(diff(11, total=4, a="joined"))
    await counted.reach(diff(10, total=3))
    assert part(counted) == {"count": 4}
    await time.advance(0.3)
    assert told.take() == []


async def test_who_was_answered_with_a_count_that_is_over_is_told_though_the_others_had_that_before(
    counted, told, time
):
    await counted.reach(diff(10, total=1))
    counted.receive(diff(11, total=2, a="joined"))
    assert part(counted) == {"count": 2}
    counted.receive(diff(12, total=1, b="left"))
    await time.advance(0.3)
    assert told.take() == [{"count": 1}]


async def test_counts_are_read_after_an_outage(counted, layer, told, time):
    await counted.reach(diff(10, total=3))
    layer.says(12, "a", "b")
    counted.check()
    await time.advance(0.3)
    assert told.take() == [{"count": 2}]
