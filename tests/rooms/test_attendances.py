"""Who is present in an event loop, connection by connection, and what is reported of that."""

from __future__ import annotations

import pytest

from django_fastws._core.presence_reports import PresenceReport
from django_fastws.rooms.attendances import Attendance, Attendances
from django_fastws.testing import virtual_time


class Watched(Attendances):
    """Attendances whose changes are noted."""

    def __init__(self):
        self.changes, self.users_changed = [], []
        super().__init__(lambda room, key: self.changes.append((room, key)), self._user)

    def _user(self, user, seconds):
        self.users_changed.append((user, seconds if seconds is None else round(seconds)))

    def now(self, room="r", key="u"):
        """Ids of the connections of a key, those that are held in brackets; None where it is not present."""
        found = self.report(room, key).connections
        return [f"({one.id})" if one.is_held else one.id for one in found] or None


@pytest.fixture
async def time():
    async with virtual_time() as time:
        yield time


@pytest.fixture
async def here():
    here = Watched()
    yield here
    here.close()


def tab(connection="c-1", room="r", key="u", *, is_user=True, is_named=True):
    return Attendance(room, key, connection, is_user=is_user, is_named=is_named)


async def test_a_key_is_present_with_all_of_its_connections(here, time):
    one, other = tab("c-1"), tab("c-2")
    here.enter(one, b'"a"')
    here.enter(other, b'"b"')
    report = here.report("r", "u")
    assert [(c.id, c.meta, c.stamp, c.is_held) for c in report.connections] == [
        ("c-1", b'"a"', 0, False),
        ("c-2", b'"b"', 0, False),
    ]
    assert (report.key, report.is_user) == ("u", True)
    here.leave(one, 10)
    assert here.now() == ["c-2"]
    here.leave(other, 10)
    assert here.now() == ["(c-2)"]
    assert here.changes == [("r", "u")] * 4


async def test_the_last_connection_is_held_for_the_grace(here, time):
    one = tab()
    here.enter(one, b"1")
    here.leave(one, 10)
    await time.advance(9.9)
    assert here.now() == ["(c-1)"]
    await time.advance(0.2)
    assert here.now() is None
    assert here.report("r", "u") == PresenceReport("u", (), is_user=False)
    assert list(here) == []


async def test_without_a_grace_it_is_over_at_once(here, time):
    one = tab()
    here.enter(one, b"1")
    here.leave(one, 0)
    assert here.now() is None


@pytest.mark.parametrize("again", ["c-1", "c-2"])
async def test_a_return_within_the_grace_ends_it(here, time, again):
    here.enter(one := tab(), b"1")
    here.leave(one, 10)
    await time.advance(9)
    here.enter(tab(again), b"2")
    assert here.now() == [again]
    await time.advance(20)
    assert here.now() == [again]


async def test_leaving_twice_is_leaving_once(here, time):
    one, other = tab(), tab()
    here.enter(one, b"1")
    here.enter(other, b"1")
    here.leave(one, 0)
    here.leave(one, 0)
    assert here.now() == ["c-1"]


async def test_who_leaves_and_never_entered_changes_nothing(here, time):
    here.enter(one := tab(), b"1")
    here.leave(one, 10)
    await time.advance(5)
    here.leave(tab(), 10)  # the same client was back, with a card that could not be shown
    assert here.now() == ["(c-1)"]
    here.enter(tab(), b"1")
    await time.advance(20)
    assert here.now() == ["c-1"]


async def test_a_page_that_comes_back_before_its_end_is_noticed_is_one_connection(here, time):
    one, other = tab(), tab()
    here.enter(one, b"1")
    here.enter(other, b"2")
    assert here.now() == ["c-1"]
    here.leave(one, 10)
    assert here.now() == ["c-1"]
    await time.advance(20)
    assert here.now() == ["c-1"]


async def test_rooms_and_keys_do_not_know_of_each_other(here, time):
    here.enter(tab(room="r"), b"1")
    here.enter(tab(room="s"), b"1")
    here.enter(leaves := tab(key="v"), b"1")
    here.leave(leaves, 0)
    assert sorted(here) == [("r", "u"), ("s", "u")]
    assert len(here) == 2


async def test_users_are_counted_over_rooms_and_anonymous_ones_not_at_all(here, time):
    here.enter(one := tab(room="r"), b"1")
    here.enter(other := tab(room="s"), b"1")
    here.enter(tab(key="c-9", is_user=False), b"1")
    assert here.users_changed == [("u", None)]
    assert here.users() == ["u"]
    here.leave(one, 10)
    await time.advance(11)
    assert here.users_changed == [("u", None)]
    here.leave(other, 10)
    await time.advance(11)
    assert here.users_changed == [("u", None), ("u", 10)]
    assert here.users() == []


async def test_a_stamp_is_that_of_the_card_that_was_reported(here, time):
    here.enter(one := tab(), b"1")
    report = here.report("r", "u")
    here.reported("r", report, 77)
    assert here.report("r", "u").connections[0].stamp == 77
    here.enter(one, b"2")
    assert here.report("r", "u").connections[0].stamp == 0
    here.reported("r", report, 78)  # of the former card
    assert here.report("r", "u").connections[0].stamp == 0


async def test_what_was_reported_may_be_over(here, time):
    here.enter(one := tab(), b"1")
    report = here.report("r", "u")
    here.leave(one, 0)
    here.reported("r", report, 77)
    assert here.now() is None


async def test_a_process_that_drains_holds_what_comes_back_under_another_id(here, time):
    here.enter(tab("c-1"), b"1")
    here.enter(tab("w-1", key="v", is_named=False), b"1")
    here.enter(tab("w-2", key="v", is_named=False), b"1")
    here.changes.clear()
    here.hold_unnamed()
    assert (here.now(), here.now(key="v")) == (["c-1"], ["(w-1)", "(w-2)"])
    assert here.changes == [("r", "v")]
