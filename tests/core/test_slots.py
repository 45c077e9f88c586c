"""Slots of a cluster: of keys and commands, who has them, and where nodes send whoever asks the wrong one."""

from __future__ import annotations

import pytest
import redis.crc
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.resp import command, publish_command, spublish_command
from django_fastws._core.slots import (
    SLOTS,
    Node,
    Redirect,
    nodes_of,
    owners,
    parse_redirect,
    slot_of,
    slot_of_command,
)
from tests.support.ids import shown

ASKED = Node("asked", 1)


@given(st.binary(max_size=20) | st.text("{}ab", max_size=8).map(str.encode))
def test_the_slot_of_a_key_is_that_of_redis(key):
    assert slot_of(key) == redis.crc.key_slot(key)


@given(st.binary(max_size=20), st.binary(max_size=20))
def test_the_slot_of_a_command_is_that_of_its_key_or_channel(key, other):
    slot = slot_of(key)
    for data in (
        command(b"SET", key, other),
        command(b"EVALSHA", b"sha", b"2", key, other, other),
        command(b"EVAL", b"text\r\n$1", b"1", key),
        publish_command(key, other),
        spublish_command(key, other),
        command(b"SSUBSCRIBE", key),
    ):
        assert slot_of_command(data) == slot


@pytest.mark.parametrize(
    "parts",
    [[b"PING"], [b"INFO", b"replication"], [b"SCRIPT", b"LOAD", b"x"], [b"ASKING"], [b"EVAL", b"return 1", b"0"]],
    ids=shown,
)
def test_what_has_no_key_has_no_slot(parts):
    assert slot_of_command(command(*parts)) is None


@pytest.mark.parametrize(
    ("text", "redirect"),
    [
        ("MOVED 1 h:2", Redirect("MOVED", 1, Node("h", 2))),
        ("MOVED 16383 2001:db8::1:7000", Redirect("MOVED", 16383, Node("2001:db8::1", 7000))),
        ("MOVED 0 [::1]:7000", Redirect("MOVED", 0, Node("::1", 7000))),
        ("MOVED 5 :7000", Redirect("MOVED", 5, Node("", 7000))),
        ("MOVED 5 ?:7000", Redirect("MOVED", 5, Node("", 7000))),
        ("ASK 5 a.example:7000", Redirect("ASK", 5, Node("a.example", 7000))),
        ("ASK 5 10.0.0.1:7000 more", Redirect("ASK", 5, Node("10.0.0.1", 7000))),
        ("TRYAGAIN Multiple keys request during rehashing of slot", Redirect("TRYAGAIN")),
        ("CLUSTERDOWN The cluster is down", Redirect("CLUSTERDOWN")),
        ("CLUSTERDOWN Hash slot not served", Redirect("TRYAGAIN")),
        ("MOVED", None),
        ("MOVED x h:2", None),
        ("MOVED 16384 h:2", None),
        ("MOVED 1 h", None),
        ("ERR MOVED 1 h:2", None),
        ("", None),
    ],
)
def test_redirects(text, redirect):
    assert parse_redirect(text) == redirect


def test_a_node_that_says_no_host_means_its_own():
    assert Node("", 7).as_told_by(ASKED) == Node("asked", 7)
    assert Node("h", 7).as_told_by(ASKED) == Node("h", 7)


def test_who_has_which_slot():
    reply = [
        [0, 99, [b"a", 1, b"id"], [b"replica", 2, b"id"]],
        [100, 100, (b"b", 1, b"id", [(b"hostname", b"x")])],
        [16000, 16383, [b"a", 1, b"id"]],
    ]
    found = owners(reply, ASKED)
    assert len(found) == SLOTS
    assert found[99:102] == [Node("a", 1), Node("b", 1), None]
    assert found[-1] == Node("a", 1)
    assert nodes_of(found) == [Node("a", 1), Node("b", 1)]


@pytest.mark.parametrize("announced", [b"", b"?", None])
def test_a_node_that_announces_no_host_has_that_of_the_one_that_was_asked(announced):
    assert owners([[0, 1, [announced, 7]]], ASKED)[0] == Node("asked", 7)


@pytest.mark.parametrize(
    "reply", [None, b"OK", [[1]], [[0, 1]], [[0, 1, []]], [[5, 99999, [b"h", 1]]], [[2, 1, [b"h", 1]]]]
)
def test_what_is_no_answer_is_refused(reply):
    with pytest.raises(ValueError, match="CLUSTER SLOTS"):
        owners(reply, ASKED)
