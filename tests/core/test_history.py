"""Bounds of histories."""

from __future__ import annotations

from typing import Any

import pytest

from django_fastws._core.history import History

DAY = 86_400


@pytest.mark.parametrize("seconds", [0.001, 1, DAY, 3660 * DAY])
@pytest.mark.parametrize("most", [1, 2**53 - 1])
def test_what_can_be_is_kept(seconds, most):
    history = History(most, seconds, most)
    assert (history.messages, history.seconds, history.bytes) == (most, seconds, most)
    assert history == History(messages=most, seconds=seconds, bytes=most)
    assert len({history, History(most, seconds, most)}) == 1


def test_a_position_and_a_key_outlive_the_events():
    assert History(seconds=1).position_seconds == 3601
    assert History(seconds=DAY).position_seconds == 2 * DAY
    assert History(seconds=1).key_seconds >= 600
    assert History(seconds=DAY).key_seconds == 2 * DAY


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"messages": 0}, ValueError),
        ({"messages": -1}, ValueError),
        ({"messages": 2**53}, ValueError),
        ({"messages": True}, TypeError),
        ({"messages": 1.5}, TypeError),
        ({"messages": None}, TypeError),
        ({"bytes": 0}, ValueError),
        ({"bytes": "1"}, TypeError),
        ({"seconds": 0}, ValueError),
        ({"seconds": -1}, ValueError),
        ({"seconds": float("inf")}, ValueError),
        ({"seconds": float("nan")}, ValueError),
        ({"seconds": True}, TypeError),
        ({"seconds": None}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_its_name(options: dict[str, Any], error):
    (name,) = options
    with pytest.raises(error, match=rf"^History\({name}="):
        History(**options)
