"""What is reported of who is present, and when: to the store in memory, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import PresenceUnavailable, WebSocketConnectionError
from django_fastws._core.presence_reports import PresenceBeat
from django_fastws.clock import process_clock
from django_fastws.layer.memory_presence import MemoryPresence
from django_fastws.rooms import presence_reading, presence_reporter
from django_fastws.rooms.attendances import Attendance
from django_fastws.rooms.presence_reporter import PresenceReporter
from django_fastws.testing import virtual_time
from tests.support.brokers import fake_broker


class Store(MemoryPresence):
    """Store that counts what it is asked for, and can be away."""

    def __init__(self):
        self.published, self.calls, self.is_away = [], [], False
        super().__init__(lambda room, diff: self.published.append((room, diff)), process_clock.time)

    def _call(self, name, *about):
        self.calls.append((name, *about))
        if self.is_away:
            raise WebSocketConnectionError("the layer is away")

    async def areport(self, room, process, reports):
        self._call("report", room, [report.key for report in reports])
        return await super().areport(room, process, reports)

    async def abeat(self, process, seconds):
        self._call("beat")
        return await super().abeat(process, seconds)

    async def arest(self, process, seconds):
        self._call("rest", seconds)
        await super().arest(process, seconds)

    async def areport_users(self, process, users):
        self._call("users", dict(users))
        await super().areport_users(process, users)

    async def people(self, room="r"):
        snapshot = await super().aread(room)
        return {key: one.connections for key, one in snapshot.keys.items()}

    def kinds(self):
        """What was published, by key."""
        return [(change.key, change.kind) for _, diff in self.published for change in diff.changes]

    def count(self, name):
        return sum(call[0] == name for call in self.calls)


@pytest.fixture
async def time():
    async with virtual_time() as time:
        yield time


@pytest.fixture
async def store(time, monkeypatch):
    store = Store()
    monkeypatch.setattr(presence_reading, "get_broker", fake_broker(presence=store))
    return store


@pytest.fixture
def told(monkeypatch):
    told = []
    monkeypatch.setattr(presence_reporter, "tell", lambda room, diff: told.append((room, diff)))
    return told


@pytest.fixture
async def reporter(store):
    return PresenceReporter()


def tab(connection="c-1", room="r", key="u", *, is_named=True):
    return Attendance(room, key, connection, is_user=key.startswith("u"), is_named=is_named)


async def test_who_enters_is_present_when_that_returns(reporter, store, time):
    reported = await reporter.enter(tab(), b"1")
    assert await store.people() == {"u": 1}
    assert [(change.kind, change.key) for change in reported.diff.changes] == [("joined", "u")]
    assert await store.aonline(["u", "v"]) == {"u"}


async def test_all_who_enter_in_one_turn_are_one_report_for_each_room(reporter, store, time):
    tabs = [tab(f"c-{number}", room=f"r{number % 2}", key=f"u{number}") for number in range(100)]
    await asyncio.gather(*(reporter.enter(one, b"1") for one in tabs))
    assert store.count("report") == 2
    assert store.count("beat") == 1
    assert store.count("users") == 1


async def test_reports_of_one_room_follow_each_other(reporter, store, time, monkeypatch):
    under_way = most = 0
    areport = store.areport

    async def slow(room, process, reports):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return await areport(room, process, reports)

    monkeypatch.setattr(store, "areport", slow)
    entering = [asyncio.ensure_future(reporter.enter(tab(f"c-{n}", key=f"u{n % 3}"), b"1")) for n in range(9)]
    for _ in range(9):
        await time.advance(0.004)
    await asyncio.gather(*entering)
    assert most == 1
    assert await store.people() == {"u0": 3, "u1": 3, "u2": 3}


async def test_who_goes_and_comes_back_within_the_grace_is_not_noticed(reporter, store, time):
    await reporter.enter(one := tab("c-1"), b"1")
    reporter.leave(one)
    await time.advance(9)
    await reporter.enter(tab("c-2"), b"1")
    await time.advance(30)
    assert store.kinds() == [("u", "joined")]


async def test_who_does_not_has_left_and_is_not_online(reporter, store, time):
    await reporter.enter(one := tab("c-1"), b"1")
    reporter.leave(one)
    await time.advance(10.5)
    assert store.kinds() == [("u", "joined"), ("u", "left")]
    assert await store.aonline(["u"]) == set()
    assert process_clock.time() - await store.alast_seen("u") == pytest.approx(10.5, abs=0.4)


async def test_closing_one_of_two_tabs_is_a_change(reporter, store, time):
    await reporter.enter(tab("c-1"), b"1")
    await reporter.enter(other := tab("c-2"), b"1")
    reporter.leave(other)
    await time.advance(20)
    assert store.kinds() == [("u", "joined"), ("u", "changed"), ("u", "changed")]
    assert await store.people() == {"u": 1}


async def test_a_lease_costs_one_command_however_many_are_present(reporter, store, time):
    await asyncio.gather(*(reporter.enter(tab(f"c-{n}", room=f"r{n}", key=f"u{n}"), b"1") for n in range(50)))
    store.calls.clear()
    await time.advance(300)
    assert set(store.calls) == {("beat",)}
    assert 25 < len(store.calls) <= 30
    assert len(await store.people("r7")) == 1


async def test_where_nobody_is_the_lease_is_not_renewed(reporter, store, time):
    await reporter.enter(one := tab(), b"1")
    reporter.leave(one)
    await time.advance(60)
    store.calls.clear()
    await time.advance(300)
    assert store.calls == []
    await reporter.enter(tab(), b"1")
    assert await store.people() == {"u": 1}


async def test_a_layer_that_is_away_refuses_who_enters(reporter, store, time):
    store.is_away = True
    with pytest.raises(WebSocketConnectionError, match="away"):
        await reporter.enter(tab(), b"1")
    store.is_away = False
    await time.advance(30)
    assert await store.people() == {}
    await reporter.enter(tab(), b"1")
    assert await store.people() == {"u": 1}


async def test_who_is_here_stays_so_if_another_card_cannot_be_told(reporter, store, time):
    one = tab("c-1")
    await reporter.enter(one, b"1")
    store.is_away = True
    with pytest.raises(WebSocketConnectionError):
        await reporter.enter(one, b"2")
    await time.advance(60)
    store.is_away = False
    await time.advance(60)
    snapshot = await store.aread("r")
    assert snapshot.keys["u"][:2] == (b"2", 1)
    assert store.kinds() == [("u", "joined"), ("u", "changed")]
    reporter.leave(one)
    await time.advance(11)
    assert await store.people() == {}


async def test_what_the_layer_did_not_take_is_reported_as_it_is_later(reporter, store, time):
    await reporter.enter(one := tab("c-1"), b"1")
    await reporter.enter(tab("c-2", key="v"), b"1")
    store.is_away = True
    reporter.leave(one)
    await time.advance(15)
    store.is_away = False
    await time.advance(1.5)
    assert await store.people() == {"v": 1}
    assert await store.aonline(["u"]) == set()


async def test_an_outage_that_is_longer_than_the_lease_makes_nobody_leave(reporter, store, time):
    other = PresenceReporter()
    await reporter.enter(tab("c-1"), b"1")
    await other.enter(tab("c-2", key="v"), b"1")
    store.is_away = True
    await time.advance(100)
    store.is_away = False
    await time.advance(100)
    assert store.kinds() == [("u", "joined"), ("v", "joined")]


async def test_a_layer_that_has_forgotten_everything_is_told_again(reporter, store, time):
    await reporter.enter(tab("c-1"), b"1")
    await reporter.enter(tab("c-2", room="s", key="v"), b"1")
    store.reset()
    assert await store.people() == {}
    await time.advance(15)
    assert (await store.people(), await store.people("s")) == ({"u": 1}, {"v": 1})
    assert await store.aonline(["u"]) == {"u"}


async def test_after_an_outage_the_lease_comes_before_the_reports(reporter, store, time):
    reporter.restored()  # nobody is here
    await reporter.enter(tab("c-1"), b"1")
    store.forget()
    reporter.restored()
    await time.advance(0)
    assert await store.people() == {"u": 1}
    assert await store.aonline(["u"]) == {"u"}
    assert (await store.aread("r")).dead == []
    store._rolls.clear()
    reporter.restored()
    await time.advance(0)
    assert await store.people() == {"u": 1}


async def test_an_error_that_nobody_expects_does_not_end_the_lease(reporter, store, time, monkeypatch, caplog):
    await reporter.enter(tab("c-1"), b"1")
    beat, fails = store.abeat, [RuntimeError("on purpose")] * 2

    async def abeat(*args):
        if fails:
            raise fails.pop()
        return await beat(*args)

    monkeypatch.setattr(store, "abeat", abeat)
    await time.advance(100)
    assert (await store.aread("r")).dead == []
    assert await store.people() == {"u": 1}
    assert store.kinds() == [("u", "joined")]
    assert caplog.text.count("on purpose") == 2


async def test_who_hears_that_somebody_here_has_left_looks_whether_it_was_taken_for_dead(reporter, store, time):
    one = tab("c-1")
    await reporter.enter(one, b"1")
    store.forget()  # as others have buried it
    reporter.lost("r", "nobody")
    reporter.lost("nowhere", "u")
    await time.advance(0)
    assert await store.people() == {}
    reporter.lost("r", "u")
    reporter.lost("r", "u")
    await time.advance(0)
    assert await store.people() == {"u": 1}
    beats = store.count("beat")
    reporter.leave(one)
    reporter.lost("r", "u")
    await time.advance(0)
    assert store.count("beat") == beats


async def test_who_was_here_and_is_known_to_have_gone_elsewhere_does_not_come_back(reporter, store, time):
    half_open, elsewhere = tab("c-1"), PresenceReporter()
    await reporter.enter(half_open, b"1")
    await time.advance(1)
    after = tab("c-1")
    await elsewhere.enter(after, b"1")
    elsewhere.leave(after)
    await time.advance(11)
    reporter.lost("r", "u")
    await time.advance(1)
    assert await store.people() == {}


async def test_what_the_layer_has_lost_is_reported_again(reporter, store, time):
    await asyncio.gather(*(reporter.enter(tab(f"c-{n}", room=f"r{n % 2}", key=f"u{n}"), b"1") for n in range(4)))
    store._rolls.clear()  # and its leases are still there
    reporter.report_all()
    await time.advance(0)
    assert [sorted(await store.people(room)) for room in ("r0", "r1")] == [["u0", "u2"], ["u1", "u3"]]
    store._rolls.clear()
    reporter.check("r0", {"u0"})
    await time.advance(0)
    assert [sorted(await store.people(room)) for room in ("r0", "r1")] == [["u2"], []]


async def test_a_process_that_dies_is_buried_by_another_and_its_changes_are_told_once(reporter, store, time, told):
    others = [PresenceReporter() for _ in range(3)]
    await reporter.enter(tab("c-1"), b"1")
    for number, other in enumerate(others):
        await other.enter(tab(f"c-{number + 5}", key=f"v{number}"), b"1")
    told.clear()
    reporter._set_timer(None)  # it renews nothing any more
    await time.advance(29)
    assert "u" in await store.people()
    await time.advance(12)
    assert sorted(await store.people()) == ["v0", "v1", "v2"]
    changes = [(room, change.kind, change.key) for room, diff in told for change in diff.changes]
    assert changes == [("r", "left", "u")]
    assert await store.aonline(["u"]) == set()


async def test_a_deploy_is_not_seen(reporter, store, time):
    other = PresenceReporter()
    await reporter.enter(one := tab("c-1"), b"1")
    await reporter.enter(raw := tab("w-1", key="v", is_named=False), b"1")
    store.published.clear()
    await reporter.rest(20)
    reporter.leave(one)
    reporter.leave(raw)
    await time.advance(25)
    await other.enter(tab("c-1"), b"1")
    await other.enter(tab("w-2", key="v", is_named=False), b"1")
    await time.advance(100)
    assert store.kinds() == []
    assert await store.people() == {"u": 1, "v": 1}


async def test_who_does_not_come_back_after_a_deploy_has_left(reporter, store, time):
    other = PresenceReporter()
    await other.enter(tab("c-9", key="v"), b"1")
    await reporter.enter(tab("c-1"), b"1")
    await reporter.rest(20)
    await time.advance(59)
    assert sorted(await store.people()) == ["u", "v"]
    await time.advance(5)
    assert sorted(await store.people()) == ["v"]


async def test_who_comes_back_after_a_deploy_and_leaves_has_left(reporter, store, time):
    other = PresenceReporter()
    await reporter.enter(tab("c-1"), b"1")
    await reporter.rest(20)
    await other.enter(back := tab("c-1"), b"1")
    other.leave(back)
    await time.advance(11)
    assert await store.people() == {}


async def test_a_drain_does_not_wait_for_a_layer_that_is_away(reporter, store, time, caplog):
    await reporter.enter(tab("c-1"), b"1")
    store.is_away = True
    resting = asyncio.ensure_future(reporter.rest(20))
    await time.advance(4)
    assert resting.done()
    assert "no longer than the lease" in caplog.text


@pytest.mark.parametrize("seconds", [0, 20])
async def test_a_process_where_nobody_was_has_nothing_to_say_in_a_drain(reporter, store, time, seconds):
    await reporter.rest(seconds)
    assert store.calls == []


async def test_a_process_that_did_not_end_after_its_drain_goes_on(reporter, store, time):
    await reporter.enter(one := tab("c-1"), b"1")
    await reporter.rest(20)
    reporter.leave(one)
    await time.advance(120)
    await reporter.enter(again := tab("c-1"), b"1")
    await time.advance(120)
    assert await store.people() == {"u": 1}
    reporter.leave(again)
    await time.advance(11)
    assert await store.people() == {}


async def test_a_newer_card_is_the_one_that_counts(reporter, store, time):
    other = PresenceReporter()
    await reporter.enter(one := tab("c-1"), b'"first"')
    await time.advance(0.01)
    await other.enter(tab("c-2"), b'"second"')
    assert (await store.aread("r")).keys["u"].meta == b'"second"'
    await time.advance(0.01)
    await reporter.enter(one, b'"third"')
    assert (await store.aread("r")).keys["u"].meta == b'"third"'
    assert store.kinds() == [("u", "joined"), ("u", "changed"), ("u", "changed")]


async def test_an_error_that_nobody_expects_is_that_of_its_report_alone(reporter, store, time, monkeypatch, caplog):
    areport, failing = store.areport, asyncio.Event()

    async def fail(room, process, reports):
        monkeypatch.setattr(store, "areport", areport)
        await failing.wait()
        raise ZeroDivisionError("unexpected")

    monkeypatch.setattr(store, "areport", fail)
    first = asyncio.ensure_future(reporter.enter(tab("c-1"), b"1"))
    await time.advance(0)
    second = asyncio.ensure_future(reporter.enter(tab("c-2", key="v"), b"1"))
    await time.advance(0)
    failing.set()
    with pytest.raises(ZeroDivisionError):
        await first
    await second
    assert await store.people() == {"v": 1, "u": 1}  # who failed is so for the grace
    assert caplog.text.count("ZeroDivisionError: unexpected") == 1


async def test_a_layer_without_presence_says_so(reporter, store, time, monkeypatch):
    monkeypatch.setattr(presence_reading, "get_broker", fake_broker(presence=None))
    with pytest.raises(PresenceUnavailable, match="RedisChannelLayer"):
        await reporter.enter(tab(), b"1")


async def test_a_beat_that_finds_its_lease_gone_reports_under_another_name(reporter, store, time, monkeypatch):
    await reporter.enter(tab("c-1"), b"1")
    former = reporter._process
    abeat = store.abeat

    async def forgotten(process, seconds):
        beat = await abeat(process, seconds)
        return PresenceBeat(False, (), None) if process == former else beat

    monkeypatch.setattr(store, "abeat", forgotten)
    store.published.clear()
    await time.advance(11)
    assert reporter._process != former
    assert await store.people() == {"u": 1}
    await time.advance(120)
    assert store.kinds() == []
