"""The thread pool, and which of its threads is busy with what: the pool only acts on it, and tells nobody."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from django_fastws import worker as module
from django_fastws.threads import Threads

__all__ = ["Load", "loads", "look_often"]


class Load(NamedTuple):
    """One thread of a pool: how many handlers have it, and how many calls run or wait in it."""

    users: int
    jobs: int


def loads(pool: Threads) -> list[Load]:
    """The threads of a pool, in the order of their names. There are none before the first is needed."""
    return [Load(thread.users, thread.jobs) for _, thread in pool._threads]


def look_often(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.05) -> None:
    """Have threads look at their connections, and end, so soon: it is a second, which no setting says."""
    monkeypatch.setattr(module, "_SECONDS", seconds)
