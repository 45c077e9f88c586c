"""Conflicts of patterns: which two match one name."""

from __future__ import annotations

import pytest

from django_fastws import FastWS
from django_fastws.live import conflicts

pytestmark = pytest.mark.usefixtures("routes")

MEET = [
    ("lobby", "lobby"),
    ("tickets/new", "tickets/{slug}"),
    ("tickets/{pk:int}", "tickets/{slug:slug}"),
    ("tickets/{pk:int}", "tickets/{ticket:int}"),
    ("{area}/{pk:int}", "tickets/{slug}"),
    ("files/{name:path}", "files/{a}/{b}"),
    ("{all:path}", "a/b/c"),
    ("a-{x}", "{y}-b"),
    ("u/{id:uuid}", "u/{id}"),
]
APART = [
    ("lobby", "lobby2"),
    ("tickets/{pk:int}", "tickets/new"),
    ("tickets/{pk:int}", "ticket/{pk:int}"),
    ("tickets/{pk:int}", "tickets/{pk:int}/notes"),
    ("u/{id:uuid}", "u/{pk:int}"),
    ("a/{x}", "b/{x}"),
]


@pytest.mark.parametrize(
    ("one", "other", "meet"), [(*pair, True) for pair in MEET] + [(*pair, False) for pair in APART]
)
def test_which_patterns_meet(one, other, meet):
    app = FastWS()
    rooms = app.room(one), app.room(other)
    found = conflicts()
    assert bool(found) == meet
    for conflict in found:
        assert (conflict.one, conflict.other) == rooms
        assert all(room.match(conflict.name) is not None for room in rooms)


def test_every_pair_is_told():
    app = FastWS()
    for _ in range(3):
        app.room("lobby")
    assert len(conflicts()) == 3
