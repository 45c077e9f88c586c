"""Room names as group names."""

import hashlib
import re

import pytest
from channels.layers import BaseChannelLayer
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.groups import group_name

NAMES = [
    ("lobby", "fastws.n.lobby"),
    ("a-b_c.d", "fastws.n.a-b_c.d"),
    ("0", "fastws.n.0"),
    ("x" * 60, "fastws.n." + "x" * 60),
]


@pytest.mark.parametrize(("room", "group"), NAMES)
def test_a_short_plain_name_stays_readable(room, group):
    assert group_name(room) == group


@pytest.mark.parametrize(
    "room",
    ["", "größe ✓", "a b", "a/b", "a:b", "x" * 61, "x" * 10_000, "lobby\n", "\x00", "\ud800", "𝕏", "é", "e\u0301"],
)
def test_any_other_name_becomes_a_hash(room):
    assert re.fullmatch(r"fastws\.h\.[0-9a-f]{64}", group_name(room))


@pytest.mark.parametrize("room", [None, 1, b"lobby", ["lobby"], object()])
def test_a_name_that_is_no_str_is_refused(room):
    with pytest.raises(TypeError, match=f"a room's name is a str, not {type(room).__name__}"):
        group_name(room)


@given(st.text(st.characters()))
def test_every_name_is_one_that_channel_layers_take(room):
    assert BaseChannelLayer().require_valid_group_name(group_name(room))


@given(st.text(), st.text())
def test_different_rooms_have_different_groups(one, two):
    assert (group_name(one) == group_name(two)) is (one == two)


@pytest.mark.parametrize("room", ["größe", "x" * 61, ""])
def test_a_room_named_like_a_hashed_group_is_another_room(room):
    hashed = group_name(room)
    assert group_name(hashed) != hashed
    assert group_name(hashed.removeprefix("fastws.h.")) != hashed


def test_a_group_name_does_not_change_from_process_to_process():
    digest = hashlib.sha256("größe ✓".encode()).hexdigest()
    assert group_name("größe ✓") == f"fastws.h.{digest}"
