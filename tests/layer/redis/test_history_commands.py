"""Commands of histories, and their replies; the scripts against a model of what they do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_fastws import History
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery
from django_fastws._core.positions import Position
from django_fastws._core.resp import ErrorReply, command
from django_fastws._core.sequences import Sender
from django_fastws.layer.memory_history import MemoryHistories
from django_fastws.layer.redis.history_commands import (
    clear_command,
    decode_page,
    decode_position,
    durable_server,
    is_loading,
    is_of_replica,
    is_unknown_script,
    milliseconds,
    read_command,
    refusal,
    split_position,
    store_command,
)
from django_fastws.layer.redis.history_scripts import MARK, READ, STORE
from django_fastws.layer.redis.script_loads import LOAD_SCRIPTS, with_script
from tests.site.client import token
from tests.support.examples import examples

INFO = b"# Replication\r\nrole:master\r\nconnected_slaves:0\r\nmaster_replid:abc123\r\nmaster_repl_offset:0\r\n"
DURABLE = [b"no-appendfsync-on-rewrite", b"no", b"appendonly", b"yes", b"appendfsync", b"always"]


# Positions beside what is published


@pytest.mark.parametrize("data", [b"", b"x", b"\n", b"a:1\nb", MARK, b"\xff" * 100])
@pytest.mark.parametrize("position", [Position("0", 1), Position("f" * 32, 10**15 - 1)])
def test_a_position_is_split_from_what_was_published(position, data):
    assert split_position(MARK + str(position).encode() + b"\n" + data) == (position, data)
    assert type(split_position(MARK + b"e:1\n")[0]) is Position


@pytest.mark.parametrize("data", [b"", b"{}", b"\x82\xa4type", MARK[:-1], b" " + MARK + b"e:1\n"])
def test_what_has_no_position_is_left_alone(data):
    assert split_position(data) == (None, data)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"e:1",
        b":1\n",
        b"e:\n",
        b"e\n",
        b"e:0\n",
        b"e:01\n",
        b"e:-1\n",
        b"e:x\n",
        b"e:1:1\n",
        b"e-:1\n",
        b"\xff:1\n",
        b"e:1 \n",
        b"e:" + b"1" * 16 + b"\n",
        b"e" * 70 + b":1\n",
    ],
)
def test_what_is_no_position_is_refused(text):
    with pytest.raises(ValueError, match="position"):
        split_position(MARK + text)


# Commands and replies


def test_a_command_that_brings_its_script_along_differs_in_nothing_else():
    assert with_script(command(b"EVALSHA", STORE.sha1, b"2", b"a\r\n", b"")) == command(
        b"EVAL", STORE.text, b"2", b"a\r\n", b""
    )
    assert with_script(command(b"EVALSHA", READ.sha1)) == command(b"EVAL", READ.text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(1, b"1000"), (0.0001, b"1"), (1.2345, b"1234"), (86_400.0, b"86400000")]
)
def test_times_in_milliseconds(seconds, text):
    assert milliseconds(seconds) == text


@pytest.mark.parametrize(
    ("replies", "found"),
    [
        ([INFO, DURABLE], b"abc123"),
        ([INFO, list(zip(DURABLE[::2], DURABLE[1::2], strict=True))], b"abc123"),  # as RESP 3 has it
        ([INFO, [*DURABLE[:-1], b"everysec"]], b"!abc123"),
        ([INFO, [*DURABLE[:3], b"no", *DURABLE[4:]]], b"!abc123"),
        ([INFO, [DURABLE[0], b"yes", *DURABLE[2:]]], b"!abc123"),
        ([INFO, []], b"!abc123"),
        ([INFO, ErrorReply("NOPERM")], b""),
        ([ValueError(), DURABLE], b""),
        ([b"", DURABLE], b""),
        ([None, None], b""),
    ],
)
def test_whether_a_server_keeps_what_it_confirms(replies, found):
    assert durable_server(replies) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("NOPERM this user has no permissions", "NOPERM this user has no permissions"),
        (
            "ERR Error running script (call to f_0a1b): @user_script:12: @user_script: 12: -OOM command not allowed",
            "OOM command not allowed",
        ),
        ("ERR Error running script (call to f_0a1b): @user_script:12: ERR something", "ERR something"),
        ("OOM command not allowed. script: 0a1b, on @user_script:12.", "OOM command not allowed."),
        ("NOPERM No permissions script: on @user_script:82.", "NOPERM No permissions"),
        (
            "ERR Error running script (call to f_0a1b): @user_script:22: ERR Invalid stream ID specified as stream "
            "command argument",
            "this is older than Redis 6.2, which a history needs; Valkey is as good",
        ),
    ],
)
def test_what_redis_refuses_is_said_without_a_place_in_a_script(text, said):
    assert refusal(text) == said


def test_replies_that_mean_something_else():
    assert is_unknown_script(ErrorReply("NOSCRIPT No matching script. Please use EVAL."))
    assert is_loading(ErrorReply("LOADING Redis is loading the dataset in memory"))
    for text in (
        "READONLY You can't write against a read only replica.",
        "ERR Error running script (call to f_0a1b): @user_script:12: @user_script: 12: -READONLY You can't write",
        "READONLY You can't write against a read only replica. script: 0a1b, on @user_script:12.",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ):
        assert is_of_replica(ErrorReply(text))
    for reply in (ErrorReply("ERR LOADING NOSCRIPT READONLY"), b"NOSCRIPT", b"LOADING", b"READONLY", None, 1):
        assert not is_unknown_script(reply)
        assert not is_loading(reply)
        assert not is_of_replica(reply)
    assert decode_position(b"") is None
    assert decode_position(b"e:5") == Position("e", 5)


def test_what_cannot_be_decoded_is_left_out_and_said():
    failed: list[Exception] = []
    stored = {b"good": {"type": BROADCAST, "v": "1", "room": "r", "text": "x"}, b"other": {"type": "of a consumer"}}
    reply = [b"e", b"9", b"7", b"1500", b"good", b"8", b"1500", b"bad", b"9", b"2500", b"other"]
    page = decode_page(reply, PageQuery(after=0), stored.__getitem__, failed.append)
    assert (page.epoch, page.top) == ("e", 9)
    assert [(one.offset, one.at, one.envelope.data) for one in page.stored] == [(7, 1.5, "x")]
    assert [type(error) for error in failed] == [KeyError]


# The scripts, against the histories in memory


class Client:
    """Sends commands to a Redis, as publishers do, and reads what the scripts answer."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._connection = self._client.connection_pool.make_connection()
        for load in LOAD_SCRIPTS:
            self.send(load)

    def send(self, data: bytes) -> Any:
        self._connection.send_packed_command([data])
        return self._connection.read_response()

    def close(self) -> None:
        self._connection.disconnect()
        self._client.close()


@pytest.fixture(scope="module")
def client(redis_server) -> Iterator[Client]:
    with contextlib.closing(Client(redis_server.url)) as made:
        yield made


SIZES = st.sampled_from([1, 10, 100])
OFFSETS = st.one_of(st.none(), st.integers(0, 45))
LIMITS, BYTES = st.sampled_from([0, 1, 2, 3, 100]), st.sampled_from([1, 2, 11, 110, 10**6])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("store"), SIZES, st.sampled_from(["", "", "", "a", "b"])),
        st.tuples(st.just("again"), st.integers(0, 5)),
        st.tuples(st.just("read"), OFFSETS, OFFSETS, LIMITS, BYTES),
        st.tuples(st.just("many"), st.integers(1, 40)),
        st.just(("clear",)),
    ),
    min_size=1,
    max_size=25,
)
HISTORIES = st.builds(
    History, messages=st.sampled_from([1, 2, 7, 10_000]), bytes=st.sampled_from([5, 50, 1000, 10**7])
)


TWO = [("store", 10, ""), ("store", 10, "")]


@pytest.mark.redis
@given(HISTORIES, STEPS)
@example(History(), [*TWO, ("read", None, None, 9, 20), ("read", 0, None, 9, 20), ("read", 0, None, 9, 19)])
@example(History(bytes=20), [*TWO, ("read", 0, None, 9, 99), ("store", 1, ""), ("read", 0, None, 9, 99)])
@hypothesis_settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_scripts_do_what_histories_in_memory_do(client, history, steps):
    memory, sender, group = MemoryHistories(), Sender(), token()
    texts: dict[bytes, Any] = {}
    sent: list[tuple[bytes, Any]] = []
    epochs: dict[str, str] = {}
    senders = [Sender(), sender]

    def same(found: Position | None, expected: Position | None) -> None:
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            assert epochs.setdefault(found.epoch, expected.epoch) == expected.epoch
            assert found.offset == expected.offset

    def store(size: int, key: str) -> None:
        text = f"{len(texts)}".rjust(size, "-")
        made = [Envelope(BROADCAST, group, text, history=history, idempotency_key=key or None) for _ in range(2)]
        encoded = made[0].encode(senders[len(texts) % 2])
        data = text.encode()
        texts[data] = encoded
        asked = store_command("model", b"channel", made[0], encoded, data, b"")
        expected, _ = memory.store(made[1], history)
        same(decode_position(client.send(asked)), expected)
        sent.append((asked, expected))

    for name, *values in steps:
        if name == "store":
            store(*values)
        elif name == "many":
            for _ in range(values[0]):
                store(1, "")
        elif name == "again" and values[0] < len(sent):
            asked, expected = sent[-1 - values[0]]
            found = decode_position(client.send(asked))
            if found is not None:  # else it is not kept any more
                same(found, expected)
        elif name == "read":
            query = PageQuery(*values)
            page = decode_page(
                client.send(read_command("model", group, history, query, b"")), query, texts.__getitem__, pytest.fail
            )
            expected = memory.read(group, history, query)
            same(Position(page.epoch, page.top), Position(expected.epoch, expected.top))
            assert [(one.offset, one.envelope.data) for one in page.stored] == [
                (one.offset, one.envelope.data) for one in expected.stored
            ]
        elif name == "clear":
            client.send(clear_command("model", b"channel", group, history, b"cleared", b""))
            memory.clear(group, history)
            sent.clear()
    length = client.send(command(b"XLEN", f"model:history:{{{group}}}:stream".encode()))
    assert length <= history.messages + 31


# What is kept


@pytest.mark.redis
def test_senders_that_are_gone_are_forgotten(client, group):
    history, meta = History(messages=5), f"kept:history:{{{group}}}:meta".encode()

    def store(sender: Sender) -> Any:
        envelope = Envelope(BROADCAST, group, "x", history=history)
        encoded = envelope.encode(sender)
        return client.send(store_command("kept", b"channel", envelope, encoded, b"x", b""))

    for number in range(1000):
        store(Sender(f"gone{number}"))
    fields = [f"s:gone{number}".encode() for number in range(0, 1000, 2)]
    long_ago = [part for name in fields for part in (name, b"1:1000000000")]
    client.send(command(b"HSET", meta, *long_ago))
    last = Sender("last")
    for _ in range(24):
        store(last)
    left = client.send(command(b"HKEYS", meta))
    assert sum(name.startswith(b"s:") for name in left) == 501
    assert b"s:last" in left


@pytest.mark.redis
@pytest.mark.slow
def test_a_long_history_is_forgotten_at_once_where_its_bounds_get_narrow(client, group):
    sender, large, count = Sender(), History(messages=10**6, bytes=10**9), 20_000

    def stored(history: History) -> bytes:
        envelope = Envelope(BROADCAST, group, "x", history=history)
        encoded = envelope.encode(sender)
        return store_command("kept", b"channel", envelope, encoded, b"x" * 50, b"")

    stream = f"kept:history:{{{group}}}:stream".encode()
    for _ in range(count):
        client.send(stored(large))
    assert client.send(command(b"XLEN", stream)) == count
    query = PageQuery(after=0, limit=10)
    page = client.send(read_command("kept", group, large, query, b""))
    assert [int(offset) for offset in page[2::3]] == list(range(1, 11))
    client.send(command(b"CONFIG", b"RESETSTAT"))
    page = client.send(read_command("kept", group, History(messages=10**6, bytes=50 * 100), query, b""))
    assert [int(offset) for offset in page[2::3]] == list(range(count - 99, count - 89))
    assert client.send(command(b"XLEN", stream)) == 100
    lines = client.send(command(b"INFO", b"commandstats")).decode().splitlines()
    (calls,) = [line for line in lines if line.startswith("cmdstat_xrange:")]
    assert int(calls.partition("calls=")[2].partition(",")[0]) < 40  # found by halving, not one by one


@pytest.fixture
def group() -> str:
    return token()
