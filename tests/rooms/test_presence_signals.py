"""Signals of who has joined and who has left."""

from __future__ import annotations

import asyncio

import pytest

from django_fastws import Present
from django_fastws._core.presence_reports import PresenceChange, PresenceDiff, PresentKey
from django_fastws.rooms.presence_signals import tell
from django_fastws.signals import presence_joined, presence_left

DIFF = PresenceDiff(
    1,
    2,
    [
        PresenceChange("joined", "1", PresentKey(b'{"name":"Ada"}', 1, 0.0)),
        PresenceChange("changed", "2", PresentKey(b"null", 1, 0.0)),
        PresenceChange("left", "3", PresentKey(b"null", 1, 0.0)),
    ],
)


@pytest.fixture
def heard():
    heard = []

    def joined(sender, room, key, meta, **more):
        heard.append(("joined", sender, room, key, meta))

    async def left(sender, room, key, meta, **more):
        await asyncio.sleep(0)
        heard.append(("left", sender, room, key, meta))

    presence_joined.connect(joined)
    presence_left.connect(left)
    yield heard
    presence_joined.disconnect(joined)
    presence_left.disconnect(left)


EXPECTED = [("joined", Present, "r", "1", {"name": "Ada"}), ("left", Present, "r", "3", None)]


async def test_they_are_sent_in_order_in_a_loop(heard):
    for _ in range(3):
        tell("r", DIFF)
    async with asyncio.timeout(10):
        while len(heard) < 6:  # noqa: ASYNC110 (of receivers, which tell nobody)
            await asyncio.sleep(0.001)
    assert heard == EXPECTED * 3


def test_they_are_sent_at_once_in_a_thread(heard):
    tell("r", DIFF)
    assert heard == EXPECTED


def test_nobody_listens():
    tell("r", PresenceDiff(1, 0, [PresenceChange("left", "1", PresentKey(b"{", 1, 0.0))]))
