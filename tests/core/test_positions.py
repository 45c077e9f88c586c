"""Positions as text."""

from __future__ import annotations

import pytest

from django_fastws._core.positions import Position


@pytest.mark.parametrize("position", [Position("4f1c", 171), Position("A", 0), Position("z" * 32, 10**15 - 1)])
def test_what_was_written_is_read(position):
    assert Position.parse(str(position)) == position


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":1",
        "a:b",
        "a:-1",
        "a:+1",
        "a:01",
        "a:1:1",
        " a:1",
        "a:1 ",
        "a:1\n",
        "a-b:1",
        "é:1",
        "a:١",
        "a" * 33 + ":1",
        "a:1" + "0" * 15,
        None,
        1,
        b"a:1",
    ],
)
def test_what_is_no_position_is_none(text):
    assert Position.parse(text) is None
