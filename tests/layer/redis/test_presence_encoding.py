"""What of presence stands in Redis: garbage of others, cards of other keys."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.presence_reports import (
    PresenceChange,
    PresenceConnection,
    PresenceDiff,
    PresenceReport,
    PresentKey,
)
from django_fastws.layer.redis.presence_encoding import (
    PresenceCards,
    decode_diff,
    decode_key,
    decode_leases,
    decode_people,
    decode_recent,
    decode_reported,
    encode_key,
)
from django_fastws.layer.redis.presence_scripts import PRESENCE_MARK

CARD = b'{"card":"{\\"name\\":\\"\xc3\xa9\\"}"}'


def made_cards(failed: Any = pytest.fail, secrets: Any = ()) -> PresenceCards:
    return PresenceCards(lambda card: json.dumps(card).encode(), json.loads, failed, secrets)


def published(*parts: Any) -> bytes:
    return PRESENCE_MARK + msgpack.packb(parts, use_bin_type=False)


@given(st.text())
def test_keys_come_back(text):
    assert decode_key(encode_key(text)) == text
    assert decode_key(encode_key("\udcff\0")) == "\udcff\0"


def test_a_diff_is_what_was_published():
    diff = decode_diff(
        published(7, 2, [[1, b"ada", CARD, 1, 5_000_000], [2, b"\0", CARD, 2, 1], [3, b"", CARD, 3, 1]]), made_cards()
    )
    assert diff == PresenceDiff(
        7,
        2,
        [
            PresenceChange("joined", "ada", PresentKey('{"name":"é"}'.encode(), 1, 5.0)),
            PresenceChange("left", "\0", PresentKey('{"name":"é"}'.encode(), 2, 1e-06)),
            PresenceChange("changed", "", PresentKey('{"name":"é"}'.encode(), 3, 1e-06)),
        ],
    )


def test_what_another_release_says_besides_is_ignored():
    plain = published(7, 2, [[1, b"ada", CARD, 1, 5_000_000]])
    longer = published(7, 2, [[1, b"ada", CARD, 1, 5_000_000, b"more"]], {"more": 1})
    assert decode_diff(longer, made_cards()) == decode_diff(plain, made_cards())


@pytest.mark.parametrize(
    "data",
    [
        PRESENCE_MARK,
        PRESENCE_MARK + b"\xc1",
        published(),
        published(1, 2),
        published(1, 2, 3),
        published(1, 2, [3]),
        published(b"1", 2, []),
        published(-1, 2, []),
        published(1, -2, []),
        published(1.5, 2, []),
        published(1, 2, [[4, b"ada", CARD, 1, 1]]),
        published(1, 2, [[[], b"ada", CARD, 1, 1]]),
        published(1, 2, [[1, 5, CARD, 1, 1]]),
        published(1, 2, [[1, b"\xff", CARD, 1, 1]]),
        published(1, 2, [[1, b"ada", 5, 1, 1]]),
        published(1, 2, [[1, b"ada", CARD, 0, 1]]),
        published(1, 2, [[1, b"ada", CARD, True, 1]]),
        published(1, 2, [[1, b"ada", CARD, 1, b"x"]]),
        published(1, 2, [[1, b"ada", CARD, 1]]),
        published(1, 2, []) + b"more",
    ],
)
def test_what_is_no_diff_is_refused(data):
    with pytest.raises(ValueError, match="a diff of presence that is none"):
        decode_diff(data, made_cards())


@given(st.binary(max_size=60))
def test_garbage_is_refused_or_a_diff(data):
    with contextlib.suppress(ValueError):
        assert isinstance(decode_diff(PRESENCE_MARK + data, made_cards(lambda error: None)), PresenceDiff)


@pytest.mark.parametrize("card", [b"", b"\xff", b"[]", b"{}", b'{"card":5}'])
def test_a_card_that_cannot_be_read_is_as_none_and_said(card):
    failed: list[Exception] = []
    diff = decode_diff(published(1, 1, [[1, b"ada", card, 1, 1]]), made_cards(failed.append))
    assert diff.changes[0].present.meta == b"null"
    assert len(failed) == 1


def test_whether_a_card_is_the_same_is_seen_without_reading_it():
    def digest(card: bytes, *secrets: Any) -> bytes:
        report = PresenceReport("ada", (PresenceConnection("1", 5, card, True),), False)
        ((key, is_user, ((name, stamp, found, encoded, is_held),)),) = msgpack.unpackb(
            made_cards(secrets=secrets).encode_reports([report]), raw=True
        )
        assert (key, is_user, name, stamp, is_held) == (b"ada", False, b"1", 5, True)
        assert json.loads(encoded) == {"card": card.decode()}
        return bytes(found)

    assert digest(b'"x"') == digest(b'"x"') != digest(b'"y"')
    assert digest(b'"x"', "one") == digest(b'"x"', b"one", "two")
    assert len({digest(b'"x"'), digest(b'"x"', "one"), digest(b'"x"', "two")}) == 3


def test_replies_without_changes():
    for nothing in ([], {}):  # as scripts have an empty table
        reply = msgpack.packb([5, 6, 7, 8, nothing])
        assert decode_reported(reply, made_cards()) == ((5, PresenceDiff(6, 7, [])), 8)


def test_diffs_are_remembered_up_to_the_first_hole():
    recent = [msgpack.packb([v, [[1, b"ada"]]], use_bin_type=False) for v in (9, 4, 8, 6)]
    assert decode_recent(9, recent) == ((8, {"ada": "joined"}), (9, {"ada": "joined"}))
    assert decode_recent(10, recent) == ()
    assert decode_recent(0, []) == ()


def test_who_is_present():
    keys: dict[str, PresentKey] = {}
    processes: set[bytes] = set()
    one = [b"1", 5, b"digest", CARD, False]
    other = [b"2", 7, b"digest", b'{"card":"2"}', True]
    people = [
        b"ada",
        msgpack.packb([9, [[b"a", [one]]]]),
        b"\0",
        msgpack.packb([9, [[b"b", [one]], [b"c", [other]]]]),
    ]
    decode_people(people, made_cards(), keys, processes)
    present = PresentKey('{"name":"é"}'.encode(), 1, 9e-06)
    assert keys == {"ada": present, "\0": present}
    assert processes == {b"a", b"b", b"c"}


def test_leases_of_which_nothing_is_known():
    leases, now = decode_leases([b"5000", []])
    assert (leases.leases, leases.began, now) == ({}, 0, 5000)
    leases, _ = decode_leases([b"1", [b"p:a b", b"7 6   ", b"p:c", b"9 8 0a 1f b", b"beat", b"3", b"lease", b"4"]])
    assert leases.leases == {"a b": (7, 6, ""), "c": (9, 8, "b")}
    assert (leases.beat_at, leases.seconds_ms, leases.amnesty) == (3, 4, 0)
