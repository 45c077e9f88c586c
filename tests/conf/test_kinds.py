"""Kinds of settings: which values each takes, and what it makes of them. Those of whole settings: test_settings."""

import pytest

from django_fastws.conf import InDebug, kinds
from django_fastws.conf.kinds import ValueKind, choice, count_of, whole_number
from tests.support.ids import shown

KINDS = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, ValueKind)}

# (kind, values that are right, values that are not)
VALUES = [
    ("CONNECTIONS_OR_NONE", [None, 1], [0, -1, 1.5, "5", True]),
    ("BYTES_OR_NONE", [None, 1], [0, -1, "10 MB"]),
    ("SECONDS", [0.5, 3, float("inf")], [0, -1, None, "5", float("nan"), True, 10**400]),
    ("DURATION", [0, 0.5], [-1, None, "5", True, False]),
    ("TIMEOUT_OR_NONE", [None, 0.5], [0, -1, "60", float("inf"), False, 10**400]),
    ("FINITE_SECONDS", [0.5, 3], [0, -1, None, "60", float("inf"), True, 10**400]),
    ("FINITE_DURATION", [0, 0.5], [-1, None, "5", float("inf"), float("nan"), False]),
    ("SECONDS_IN_DEBUG", [None, 0.5, InDebug(0.1)], [0, -1, "60", float("inf"), False]),
    ("OBJECTS_OR_NONE", [None, 1], [0, -1, "5", 1.5, True]),
    ("NUMBER", [2, 0.5], [0, -1, None, "2"]),
    ("FRACTION", [0, 0.5, 1], [-0.1, 1.1, None, "half"]),
    ("RATE_OR_NONE", [None, "5/10s", "100/m burst 20"], ["", "fast", "0/s", 20, True, []]),
    ("MODULE", ["consumers", "ws.consumers"], ["", "a b", "ws.", None, 5]),
    ("URL_PATH", [None, "/healthz"], ["healthz", "", 5]),
    ("FUNCTION", [None, "project.tenants.enter", len], ["", "no path", 5]),
    ("FUNCTION_OF_TOKENS", [None, "accounts.tokens.user_of", len], ["", "no path", 5]),
    ("WORDS", [[], ["token", "Key2"]], ["token", None, ["a b"], [5]]),
    ("ORIGINS", [None, [], ["*", "null", "https://*.example.com"]], ["https://example.com", 5, [5], [""]]),
    (
        "PUBLISH_KEYS",
        [{}, {"shop": {"secret": "x", "rooms": ["*"]}}],
        [None, [], {"shop": "x"}, {"a b": {"secret": "x"}}],
    ),
    ("FLAG", [True, False], [None, 1, "yes"]),
    ("DB_RESET", [None, True, False, "close", "discard"], ["drop", 1.5]),
    ("CLOSE_ON_LOGOUT", [True, False, "session"], [None, 1, "yes"]),
]


def test_every_kind_has_a_row():
    assert sorted(KINDS) == sorted(row[0] for row in VALUES)


@pytest.mark.parametrize(("name", "right", "wrong"), VALUES, ids=[row[0] for row in VALUES])
def test_what_is_right_is_read_and_what_is_not_is_found(name, right, wrong):
    kind = KINDS[name]
    for value in right:
        assert kind.is_right(value), value
        kind.read(value)
    for value in wrong:
        assert not kind.is_right(value), value


@pytest.mark.parametrize("value", [0, -1, "5", None, 1.5, True], ids=shown)
def test_a_count_is_a_whole_number_from_1_and_names_what_it_counts(value):
    kind = count_of("messages")
    assert "messages" in kind.wanted
    assert kind.is_right(1)
    assert not kind.is_right(value)


def test_a_whole_number_beyond_its_range_is_read_as_the_nearest():
    kind = whole_number(9, 15)
    assert kind.wanted == "a whole number from 9 to 15"
    assert [kind.is_right(value) for value in (9, 15, 8, 16, 9.5, "9", True)] == [True] * 2 + [False] * 5
    assert [kind.read(value) for value in (8, 12, 99)] == [9, 12, 15]


def test_what_is_no_choice_is_read_as_the_first():
    kind = choice("disconnect", "drop_oldest")
    assert kind.wanted == "one of 'disconnect', 'drop_oldest'"
    assert [kind.read("drop_oldest"), kind.read("dropped")] == ["drop_oldest", "disconnect"]
