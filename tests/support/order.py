"""Order of the tests: each process begins with those that take longest."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def longest_first(long: list[list[T]], others: list[T], processes: int) -> list[T]:
    """Deal the long tests, by files, to the processes, each of which begins with its own.

    xdist's worksteal cuts the list into a part for each process. A process that has done its own takes tests from the
    end of another's. A long test that stands there is done last, while the other processes have nothing left to take.
    """
    shares: list[list[T]] = [[] for _ in range(processes)]
    for file in sorted(long, key=len, reverse=True):
        min(shares, key=len).extend(file)
    total = sum(map(len, long)) + len(others)
    order: list[T] = []
    for number, share in enumerate(shares):
        size = (total - len(order)) // (processes - number)
        rest = max(size - len(share), 0)
        order += share + others[:rest]
        others = others[rest:]
    return order + others
