"""Who is owed a broadcast, and whether it came."""

from __future__ import annotations

import pytest

from tests.balancer.ledger import NEVER, Broadcast, Stay, disordered, owed

ROOM, ELSEWHERE = "a", "b"
SENT = Broadcast(ROOM, sender=1, number=0, sent_at=10, acknowledged_at=11)
HEARD = {1: [0]}


@pytest.mark.parametrize(
    ("stay", "expected"),
    [
        # It stands.
        (Stay(ROOM, 7, 9), (1, 1)),
        (Stay(ROOM, 7, 9, heard=HEARD), (1, 0)),
        (Stay(ROOM, 7, 9, heard={2: [0], 1: [1]}), (1, 1)),
        (Stay(ROOM, 7, 10.5), (0, 0)),  # joined too late
        (Stay(ELSEWHERE, 7, 9), (0, 0)),
        # It was closed when its server was stopped, at 12.
        (Stay(ROOM, 8, 9, 13), (1, 1)),
        (Stay(ROOM, 8, 9, 13, HEARD), (1, 0)),
        (Stay(ROOM, 8, 9, 11.5), (0, 0)),  # ended before that
        (Stay(ROOM, 7, 9, 13), (0, 0)),  # that was another server
        # Stopped at 10.5, before the acknowledgement.
        (Stay(ROOM, 9, 9, 13), (0, 0)),
    ],
)
def test_who_is_owed_a_broadcast_and_misses_it(stay, expected):
    found = owed([SENT], [stay], {8: 12, 9: 10.5})
    assert (found.count, len(found.missing)) == expected


def test_what_is_not_acknowledged_is_owed_to_nobody():
    lost = Broadcast(ROOM, sender=1, number=0, sent_at=10)
    assert lost.acknowledged_at == NEVER
    assert owed([lost], [Stay(ROOM, 7, 9), Stay(ROOM, 8, 9, 13)], {8: 12}) == (0, [])


@pytest.mark.parametrize(
    ("numbers", "is_disordered"),
    [([0, 1, 2], False), ([0, 2], False), ([], False), ([1, 0], True), ([0, 1, 1], True)],
)
def test_repetition_and_another_order_are_found(numbers, is_disordered):
    stay = Stay(ROOM, 7, 9, heard={1: [0], 2: numbers})
    assert disordered([stay]) == ([stay] if is_disordered else [])
