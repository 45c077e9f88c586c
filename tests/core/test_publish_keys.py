"""Keys of HTTP publish: what the setting may be, and which rooms a pattern has."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.publish_keys import PublishKey, allows, read_publish_keys

# (pattern, room, whether it is allowed)
ALLOWED = [
    ("orders/5", "orders/5", True),
    ("orders/5", "orders/55", False),
    ("orders/*", "orders/5", True),
    ("orders/*", "orders/5/items", True),
    ("orders/*", "orders/", True),
    ("orders/*", "orders/a\nb", True),
    ("orders/*", "orders", False),
    ("orders/*", "my/orders/5", False),
    ("orders/*", "Orders/5", False),
    ("orders/*", "", False),
    ("*", "", True),
    ("*", "größe ✓", True),
    ("", "", True),
    ("", "x", False),
    ("*/items", "orders/5/items", True),
    ("*/items", "/items", True),
    ("orders/*/items", "orders/5/items", True),
    ("orders/*/items", "orders/items", False),
    ("a*a", "a", False),
    ("a*a", "aa", True),
    ("a*b*a", "aba", True),
    ("a*b*a", "aa", False),
    ("a*bc*c", "abcc", True),
    ("a*bc*c", "abc", False),
    ("**", "x", True),
    # What other programs read as more than text.
    ("orders/?", "orders/5", False),
    ("orders/?", "orders/?", True),
    ("orders/[0-9]", "orders/5", False),
    ("orders/[0-9]", "orders/[0-9]", True),
    ("orders/{pk}", "orders/5", False),
    ("orders/.", "orders/5", False),
    ("orders/\\*", "orders/\\5", True),
]


@pytest.mark.parametrize(("pattern", "room", "expected"), ALLOWED, ids=[repr(row[:2]) for row in ALLOWED])
def test_a_pattern_has_the_rooms_that_it_says(pattern, room, expected):
    assert allows(pattern, room) is expected


_TEXTS = st.text("ab/*\n[", max_size=8)


@given(pattern=_TEXTS, room=_TEXTS)
def test_only_the_asterisk_is_special(pattern, room):
    expression = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
    assert allows(pattern, room) == bool(expression.fullmatch(room))
    if "[" not in pattern:
        assert allows(pattern, room) == fnmatch.fnmatchcase(room, pattern)


def test_a_pattern_of_many_asterisks_takes_no_longer():
    assert not allows("*a" * 50 + "b", "a" * 100_000)


def test_a_key_has_every_room_of_its_patterns_and_none_without():
    key = PublishKey("shop", (b"secret",), ("orders/*", "news"))
    assert [key.may_publish(room) for room in ("orders/5", "news", "users/5")] == [True, True, False]
    assert not PublishKey("shop", (b"secret",), ()).may_publish("orders/5")


def test_a_key_that_is_shown_has_no_secret():
    assert "secret" not in repr(read_publish_keys({"shop": {"secret": "a secret", "rooms": ["*"]}}))


READ = [
    ({}, {}),
    ({"shop": {"secret": "ß"}}, {"shop": PublishKey("shop", ("ß".encode(),), ())}),
    ({"shop": {"secret": b"\xff", "rooms": ()}}, {"shop": PublishKey("shop", (b"\xff",), ())}),
    (
        {"s": {"secret": ["new", b"old"], "rooms": ["a", "b/*"]}},
        {"s": PublishKey("s", (b"new", b"old"), ("a", "b/*"))},
    ),
    ({"~shop.2!": {"secret": ("x",), "rooms": {"*"}}}, {"~shop.2!": PublishKey("~shop.2!", (b"x",), ("*",))}),
]


@pytest.mark.parametrize(("value", "expected"), READ, ids=[str(place) for place in range(len(READ))])
def test_a_setting_that_is_right_is_read(value, expected):
    assert read_publish_keys(value) == expected


# (value, words of the error)
WRONG = [
    (None, "it is a NoneType"),
    (["shop"], "it is a list"),
    ({"": {"secret": "hush"}}, "'' is no id"),
    ({"a b": {"secret": "hush"}}, "'a b' is no id"),
    ({"a,b": {"secret": "hush"}}, "'a,b' is no id"),
    ({"größe": {"secret": "hush"}}, "'größe' is no id"),
    ({5: {"secret": "hush"}}, "5 is no id"),
    ({"x" * 129: {"secret": "hush"}}, "is no id"),
    ({"shop": "hush"}, "['shop'] is no dict"),
    ({"shop": {}}, "['shop'] has no 'secret'"),
    ({"shop": {"rooms": []}}, "['shop'] has no 'secret'"),
    ({"shop": {"secret": "hush", "room": "x"}}, "['shop'] has 'room'"),
    ({"shop": {"secret": ""}}, "['shop']['secret'] is empty"),
    ({"shop": {"secret": ["hush", ""]}}, "['shop']['secret'] is empty"),
    ({"shop": {"secret": []}}, "['shop']['secret'] is an empty list"),
    ({"shop": {"secret": None}}, "['shop']['secret'] is neither a str nor bytes"),
    ({"shop": {"secret": {"hush": 1}}}, "['shop']['secret'] is neither a str nor bytes"),
    ({"shop": {"secret": "hush\ud800"}}, "['shop']['secret'] has half of a surrogate pair"),
    ({"shop": {"secret": "hush", "rooms": "orders/*"}}, "['shop']['rooms'] is no list"),
    ({"shop": {"secret": "hush", "rooms": [5]}}, "['shop']['rooms'] is no list"),
    ({"shop": {"secret": "hush", "rooms": None}}, "['shop']['rooms'] is no list"),
]


@pytest.mark.parametrize(("value", "said"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_a_setting_that_is_wrong_is_told_by_its_place_and_without_its_secret(value, said):
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        read_publish_keys(value)
    assert "hush" not in str(raised.value)
