"""Presence in Redis, step by step: the scripts against the models of what they do, and what is sent twice."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_fastws._core.groups import group_name
from django_fastws._core.presence_leases import PresenceLeases
from django_fastws._core.presence_reports import PresenceConnection, PresenceDiff, PresenceReport
from django_fastws._core.presence_roll import MOST_KEYS, PresenceRoll
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer.redis.presence_commands import PresenceCommands, Step, Steps
from django_fastws.layer.redis.presence_encoding import PresenceCards, decode_diff
from django_fastws.layer.redis.script_loads import LOAD_SCRIPTS
from tests.layer.presence_worlds import put_back
from tests.site.client import token
from tests.support.examples import examples

pytestmark = pytest.mark.redis

T = TypeVar("T")
CARDS = PresenceCards(lambda card: json.dumps(card).encode(), json.loads, pytest.fail)


class Client:
    """Sends the steps of calls to a Redis, as layers do, and hears what scripts publish.

    Attributes:
        twice: whether every command is sent twice, and only the second reply is heard.
        lost: how many replies are lost, beginning with the next one.
    """

    def __init__(self, url: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self._connection = self.redis.connection_pool.make_connection()
        self._pubsub = self.redis.pubsub()
        self.twice, self.lost = False, 0
        self.begin()
        for load in LOAD_SCRIPTS:
            self._send(load)

    def begin(self) -> None:
        """Take a prefix of its own."""
        self.prefix = f"t{token()}"
        self.commands = PresenceCommands(self.prefix, self.channel_of, CARDS)

    def channel_of(self, group: str) -> str:
        return f"{self.prefix}:{group}"

    def _send(self, data: bytes) -> Any:
        self._connection.send_packed_command([data])
        try:
            return self._connection.read_response()
        except redis.exceptions.ResponseError as error:
            return WebSocketConnectionError(str(error))

    def run(self, steps: Steps[T]) -> T:
        try:
            step = next(steps)
            while True:
                step = steps.send(self.exchange(step))
        except StopIteration as end:
            found: T = end.value
            return found

    def exchange(self, step: Step) -> list[Any]:
        replies = []
        for _, data in step:
            reply = self._send(data)
            if self.lost:
                self.lost -= 1
                reply = WebSocketConnectionError("the connection was lost")
            elif self.twice:
                reply = self._send(data)
            replies.append(reply)
        return replies

    def bury(self, process: str) -> list[tuple[str, PresenceDiff]]:
        found, renewed = [], self.run(self.commands.begin_burial(process))
        while renewed is not None and (some := self.run(self.commands.find_reported(process, renewed))) is not None:
            for room, members in some:
                found.append((room, self.run(self.commands.take_back(room, process, members))))
        return found

    @contextlib.contextmanager
    def hearing(self, room: str) -> Iterator[list[PresenceDiff]]:
        """The diffs that are published meanwhile; they are there at the end."""
        channel, heard = self.channel_of(group_name(room)), list[PresenceDiff]()
        self._pubsub.subscribe(channel)
        yield heard
        self._pubsub.unsubscribe(channel)
        while (message := self._pubsub.get_message(timeout=10)) is not None and message["type"] != "unsubscribe":
            if message["type"] == "message":
                heard.append(decode_diff(message["data"], CARDS))

    def advance(self, seconds: float) -> None:
        put_back(self.redis, self.prefix, seconds)

    def close(self) -> None:
        self._pubsub.close()
        self._connection.disconnect()
        self.redis.close()


@pytest.fixture(scope="module")
def shared_client(redis_server) -> Iterator[Client]:
    with contextlib.closing(Client(redis_server.url)) as made:
        yield made


@pytest.fixture
def client(shared_client) -> Client:
    shared_client.begin()
    shared_client.twice, shared_client.lost = False, 0
    return shared_client


@pytest.fixture
def room() -> str:
    return token()


def report(key: str, *ids: str, stamp: int = 0) -> PresenceReport:
    return PresenceReport(key, tuple(PresenceConnection(one, stamp, b'"card"') for one in ids), True)


# The scripts, against the models

SOME_KEYS = st.sampled_from(["ada", "bob", "", "\0", "\udcff😀"])
PROCESSES = st.sampled_from(["a", "b", "c"])
CONNECTIONS = st.builds(
    PresenceConnection,
    st.sampled_from(["1", "2", "3", "größe\0"]),
    st.sampled_from([0, 0, 5, 6, 7, 10**15]),
    st.sampled_from([b'"x"', b'"y"', b"null"]),
    st.booleans(),
)
REPORTS = st.lists(
    st.builds(PresenceReport, SOME_KEYS, st.lists(CONNECTIONS, max_size=3).map(tuple), st.booleans()),
    max_size=3,
    unique_by=lambda report: report.key,
)
STEPS = st.lists(
    st.one_of(st.tuples(PROCESSES, REPORTS), st.tuples(PROCESSES, REPORTS), st.tuples(PROCESSES, st.none())),
    min_size=1,
    max_size=25,
)


def told(diff: PresenceDiff) -> tuple[int, int, list[Any]]:
    return diff.v, diff.total, sorted(diff.changes)


@pytest.mark.long
@given(steps=STEPS, twice=st.booleans())
@hypothesis_settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_room_has_what_the_roll_has(client, steps: Sequence[tuple[str, Any]], twice: bool):
    client.begin()
    client.twice = twice
    roll, room = PresenceRoll(), token()
    for process in "abc":
        client.run(client.commands.beat(process, 1000))
    expected = []
    with client.hearing(room) as heard:
        for process, reports in steps:
            if reports is None:
                members = [b"u" + key.encode("utf-8", "surrogatepass") for key in roll.keys_of(process)]
                members += [b"a" + member[1:] for member in members]
                found = client.run(client.commands.take_back(room, process, members))
                diff = roll.take_back(process, roll.keys_of(process), found.v)
            else:
                reported = client.run(client.commands.report(room, process, reports))
                found = reported.diff
                diff = roll.report(process, reports, reported.stamp, found.v).diff
            assert told(found) == told(diff)
            if diff.changes:
                expected.append(found)
            snapshot = client.run(client.commands.read(room, counts_only=False))
            assert (snapshot.v, snapshot.total) == (roll.v, roll.total)
            assert snapshot.keys == roll.snapshot().keys
            assert snapshot.recent == roll.snapshot().recent
            is_noted = client.redis.sismember(process_key(client, process), room.encode())
            assert bool(is_noted) is roll.has(process) or reports is None
    assert heard == expected


def process_key(client: Client, process: str) -> str:
    return f"{client.prefix}:presence:process:{{{group_name(process)}}}"


LEASE = 100.0
LEASE_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.sampled_from([30.0, 30.0, 60.0])),
        st.tuples(st.sampled_from(["beat", "beat", "beat", "begin", "end", "expect"]), PROCESSES),
        st.tuples(st.just("rest"), PROCESSES, st.sampled_from([15.0, 45.0])),
    ),
    min_size=1,
    max_size=30,
)


@pytest.mark.long
@given(steps=LEASE_STEPS, twice=st.booleans())
@hypothesis_settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_leases_are_over_when_those_of_the_model_are(client, steps: Sequence[tuple[Any, ...]], twice: bool):
    client.begin()
    client.twice = twice
    leases, now, commands = PresenceLeases(), 1_700_000_000_000, client.commands
    for name, *values in steps:
        if name == "advance":
            client.advance(values[0])
            now += round(values[0] * 1000)
        elif name == "beat":
            found, expected = client.run(commands.beat(values[0], LEASE)), leases.beat(values[0], 100_000, now)
            assert found[:2] == expected[:2]
            assert found.next_end == pytest.approx(expected.next_end, abs=9)
        elif name == "begin":
            renewed = client.run(commands.begin_burial(values[0]))
            assert (renewed is None) == (leases.begin_burial(values[0], now) is None)
        elif name == "end" and leases.is_over(values[0], now):
            assert client.bury(values[0]) == []
            leases.begin_burial(values[0], now)
            leases.end_burial(values[0])
        elif name == "expect":
            client.run(commands.report(token(), values[0], []))
            if not commands._is_safe(values[0]):
                leases.expect_burial(values[0], now)
        elif name == "rest":
            client.run(commands.rest(*values))
            leases.rest(values[0], round(values[1] * 1000), now)
        snapshot = client.run(commands.read(token(), counts_only=True))
        assert list(snapshot.dead) == leases.over(leases.leases, now)


# What is sent twice


def test_a_report_whose_answer_was_lost_has_one_effect_and_says_the_same(client, room):
    client.run(client.commands.beat("a", 30))
    client.twice = True
    with client.hearing(room) as heard:
        one = client.run(client.commands.report(room, "a", [report("ada", "1")]))
        two = client.run(client.commands.report(room, "a", [report("ada")]))
    assert heard == [one.diff, two.diff]
    assert [change.kind for diff in heard for change in diff.changes] == ["joined", "left"]
    again = client.run(client.commands.report(room, "a", [report("ada", "1")]))
    assert client.run(client.commands.read(room, counts_only=False)).keys["ada"].since == again.stamp / 1e6


def test_an_older_report_does_not_overtake_a_newer_one(client, room):
    client.run(client.commands.beat("a", 30))
    client.run(client.commands.report(room, "a", [report("bob", "1")]))
    older = client.commands.report(room, "a", [report("ada", "1")])
    late = older.send(None) and older.send([1])
    newer = client.run(client.commands.report(room, "a", [report("ada")]))
    (reply,) = client.exchange(late)
    with pytest.raises(StopIteration) as end:
        older.send([reply])
    assert end.value.value.diff == newer.diff
    assert set(client.run(client.commands.read(room, counts_only=False)).keys) == {"bob"}


def test_a_renewal_whose_answers_were_lost_tells_all_the_same_that_the_lease_was_new(client):
    client.run(client.commands.beat("b", 30))
    for _ in range(2):
        client.lost = 1
        with pytest.raises(WebSocketConnectionError):
            client.run(client.commands.beat("a", 30))
    assert not client.run(client.commands.beat("a", 30)).was_known
    assert client.run(client.commands.beat("a", 30)).was_known
    client.twice = True
    assert not client.run(client.commands.beat("c", 30)).was_known
    assert client.run(client.commands.beat("c", 30)).was_known


def test_what_is_remembered_of_processes_does_not_grow(client):
    for _ in range(20):  # of one process that has somebody there now and then, and is another each time
        client.run(client.commands.beat(token(), 0))
    assert len(client.commands._safe) <= 1


@pytest.mark.parametrize("clock", ["monotonic", "time"])
def test_whoever_may_have_slept_by_either_clock_expects_to_be_buried(client, room, monkeypatch, clock):
    def steps_of_a_report() -> int:
        steps, taken = client.commands.report(room, "a", [report("ada", "1")]), 0
        with contextlib.suppress(StopIteration):
            step = next(steps)
            while True:
                taken += 1
                step = steps.send(client.exchange(step))
        return taken

    client.run(client.commands.beat("a", 30))
    before = steps_of_a_report()
    now = getattr(time, clock)()
    monkeypatch.setattr(time, clock, lambda: now + 31)
    assert steps_of_a_report() == before + 2  # the room is noted again, and so is the process


def test_a_rest_that_is_sent_again_later_does_not_last_longer(client, room):
    client.run(client.commands.beat("a", 30))
    client.run(client.commands.beat("b", 30))
    client.run(client.commands.rest("a", 20))
    client.advance(10)
    client.run(client.commands.rest("a", 20))
    client.run(client.commands.beat("b", 30))
    client.advance(11)
    assert client.run(client.commands.beat("b", 30)).dead == ["a"]


def test_what_was_taken_back_and_not_answered_is_told_when_it_is_sent_again(client, room):
    for name in "ab":
        client.run(client.commands.beat(name, 30))
    client.run(client.commands.report(room, "a", [report("ada", "1")]))
    client.twice = True
    diff = client.run(client.commands.take_back(room, "a", [b"uada"]))
    assert [change.kind for change in diff.changes] == ["left"]


# Burials


def dead_process(client: Client, rooms: Sequence[str], *reports: PresenceReport) -> None:
    client.run(client.commands.beat("a", 30))
    for room in rooms:
        client.run(client.commands.report(room, "a", reports))
    for seconds in (10, 10, 11):
        client.run(client.commands.beat("b", 30))
        client.advance(seconds)


def test_a_burial_leaves_nothing_of_the_process(client):
    rooms = [token() for _ in range(40)]
    dead_process(client, rooms, *(report(f"k{number}", "1") for number in range(3)))
    client.run(client.commands.report_users("a", {"k0": 0.0}))
    assert sorted(room for room, _ in client.bury("a")) == sorted(rooms)
    left = {key.split(b":", 2)[2] for key in client.redis.keys(f"{client.prefix}:presence:*")}
    kinds = {key.rpartition(b":")[2] for key in left if key.startswith(b"{")}
    assert kinds - {b"diffs"} <= {b"{leases}"} | {key.rpartition(b":")[2] for key in left if b":done:" in key}
    assert not client.redis.hexists(f"{client.prefix}:presence:{{leases}}", "p:a")
    assert not client.redis.exists(process_key(client, "a"))
    for room in rooms:
        assert 0 < client.redis.pttl(f"{client.prefix}:presence:{{{group_name(room)}}}:diffs") <= 3_600_000


def test_a_large_room_is_taken_back_in_steps(client, room):
    many = [report(f"k{number}", "1") for number in range(2 * MOST_KEYS + 10)]
    dead_process(client, [room], *many)
    diffs = [diff for _, diff in client.bury("a")]
    assert len(diffs) == 3
    assert all(len(diff.changes) <= MOST_KEYS for diff in diffs)
    assert diffs[-1].total == 0


def test_a_room_that_is_noted_while_its_process_is_buried_is_not_lost(client, room):
    dead_process(client, [])
    other = PresenceCommands(client.prefix, client.channel_of, CARDS)  # of the process, which was stopped meanwhile
    reporting = other.report(room, "a", [report("ada", "1")])
    replies = client.exchange(next(reporting))  # the room is noted
    assert client.bury("a") == []
    step = reporting.send(replies)
    with contextlib.suppress(StopIteration):
        while True:
            step = reporting.send(client.exchange(step))
    assert client.run(client.commands.read(room, counts_only=False)).dead == ["a"]
    assert client.run(client.commands.beat("b", 30)).dead == ["a"]
    ((found, diff),) = client.bury("a")
    assert (found, diff.total) == (room, 0)


def test_a_room_that_is_noted_when_nothing_seems_to_be_left_is_found(client, room):
    dead_process(client, [])
    renewed = client.run(client.commands.begin_burial("a"))
    finding = client.commands.find_reported("a", renewed)
    assert client.exchange(next(finding)) == [[]]
    client.run(client.commands.report(room, "a", [report("ada", "1")]))
    step = finding.send([[]])
    found: Any = None
    try:
        while True:
            step = finding.send(client.exchange(step))
    except StopIteration as end:
        found = end.value
    assert found == [(room, [b"uada"])]


# What Redis keeps, and what it refuses


def test_the_newest_reports_are_remembered_and_old_ones_forgotten(client, room):
    for number in range(300):
        client.run(client.commands.report(room, f"p{number}", [report("ada", *("1", "2")[: 1 + number % 2])]))
    diffs = f"{client.prefix}:presence:{{{group_name(room)}}}:diffs"
    long_ago = {name: b"1 1000000000 1" for name in client.redis.hkeys(diffs) if name.startswith(b"p:")}
    assert len(long_ago) == 300
    client.redis.hset(diffs, mapping=long_ago)
    for number in range(260):
        client.run(client.commands.report(room, "new", [report("bob", *("1", "2")[: 1 + number % 2])]))
    assert {name for name in client.redis.hkeys(diffs) if name.startswith(b"p:")} == {b"p:new"}
    assert len([name for name in client.redis.hkeys(diffs) if name.startswith(b"r:")]) <= 256


def test_a_user_who_is_gone_is_forgotten_in_three_months_and_one_who_is_there_is_not(client):
    key = f"{client.prefix}:presence:user:{{{group_name('ada')}}}"
    client.run(client.commands.report_users("a", {"ada": None}))
    assert client.redis.pttl(key) == -1
    client.run(client.commands.report_users("b", {"ada": 5}))
    assert client.redis.pttl(key) == -1
    client.run(client.commands.report_users("a", {"ada": 5}))
    assert 80 * 86_400_000 < client.redis.pttl(key) <= 90 * 86_400_000
    client.run(client.commands.report_users("a", {"ada": None}))
    assert client.redis.pttl(key) == -1


def test_a_flush_does_not_look_like_a_continuation(client, room):
    client.run(client.commands.beat("a", 30))
    for number in range(10):
        one = client.run(client.commands.report(room, "a", [report("ada", f"{number}", *"xy"[: number % 2])]))
    for key in client.redis.keys(f"{client.prefix}:*"):
        client.redis.delete(key)
    again = client.run(client.commands.report(room, "a", [report("ada", "1")]))
    assert again.diff.v > one.diff.v + 1
    assert not client.run(client.commands.beat("a", 30)).was_known


def other_server(client: Client, key: str) -> None:
    """As if what stands there had been written by another server, or before a restart."""
    server = client.redis.info("replication")["master_replid"].encode()
    for name, value in client.redis.hgetall(key).items():
        client.redis.hset(key, name, value.replace(server, b"0" * 40))


def test_a_server_that_may_have_lost_the_last_diffs_gives_no_number_again(client, room):
    client.run(client.commands.beat("a", 30))
    diffs = f"{client.prefix}:presence:{{{group_name(room)}}}:diffs"
    numbers = []
    for number in range(3):
        numbers.append(client.run(client.commands.report(room, "a", [report("ada", *"123"[: 1 + number])])).diff.v)
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    other_server(client, diffs)
    client.redis.hset(diffs, "t", 0)
    after = client.run(client.commands.report(room, "a", [report("ada", "1")])).diff.v
    assert after > numbers[-1] + 100
    assert [v for v, _ in client.run(client.commands.read(room, counts_only=False)).recent] == [after]
    assert client.run(client.commands.report(room, "a", [report("ada", "1", "2")])).diff.v == after + 1


def test_a_server_that_may_have_lost_reports_is_told_all_of_them_again(client, room):
    for name in "ab":
        client.run(client.commands.beat(name, 30))
    client.run(client.commands.report(room, "a", [report("ada", "1", stamp=5)]))
    other_server(client, f"{client.prefix}:presence:{{leases}}")
    client.twice = True
    for _ in range(2):
        assert not client.run(client.commands.beat("a", 30)).was_known
    assert client.run(client.commands.read(room, counts_only=False)).dead == []  # it has time to report
    client.run(client.commands.beat("new", 30))
    again = client.run(client.commands.report(room, "new", [report("ada", "1", stamp=5)]))
    assert again.diff.changes == []
    for seconds in (10, 10, 11):
        client.advance(seconds)
        client.run(client.commands.beat("new", 30))
    assert client.run(client.commands.beat("new", 30)).dead == ["a", "b"]
    client.twice = False
    assert [diff.changes for _, diff in client.bury("a")] == [[]]


@pytest.mark.parametrize("refused", ["publish", "hset", "sadd", "evalsha"])
def test_what_may_not_be_done_changes_nothing(client, room, redis_server, refused):
    client.run(client.commands.beat("a", 30))
    client.run(client.commands.report(room, "a", [report("ada", "1")]))
    before = client.run(client.commands.read(room, counts_only=False))
    client.redis.acl_setuser("mute", enabled=True, nopass=True, keys=["*"], commands=["+@all", f"-{refused}"])
    try:
        with contextlib.closing(Client(redis_server.url.replace("//", "//mute@"))) as mute:
            mute.commands = client.commands
            for reports in ([report("bob", "1")], [report("ada")]):
                if refused == "sadd" and not reports[0].connections:
                    continue
                with pytest.raises(WebSocketConnectionError):
                    mute.run(mute.commands.report(room, "a", reports))
    finally:
        client.redis.acl_deluser("mute")
    assert client.run(client.commands.read(room, counts_only=False)) == before
    after = client.run(client.commands.report(room, "a", [report("bob", "1")]))
    assert (after.diff.v, after.diff.total) == (before.v + 1, 2)


def test_errors_of_commands_come_out():
    commands = PresenceCommands("p", lambda group: group, CARDS)
    error = WebSocketConnectionError("Redis is away")
    for steps in (
        commands.report("room", "a", []),
        commands.read("room", counts_only=True),
        commands.beat("a", 1),
        commands.rest("a", 1),
        commands.begin_burial("a"),
        commands.find_reported("a", 0),
        commands.take_back("room", "a", []),
        commands.report_users("a", {"ada": None}),
        commands.online(["ada"]),
        commands.last_seen("ada"),
    ):
        step = next(steps)  # type: ignore[call-overload]
        with pytest.raises(WebSocketConnectionError):
            steps.send([error, *[b""] * (len(step) - 1)])  # type: ignore[attr-defined]
