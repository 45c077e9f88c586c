"""Leases of the processes of a layer: which of them are over. The scripts of Redis do the same steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .presence_reports import PresenceBeat

__all__ = ["AMNESTY_PARTS", "BURIED", "LAST_SEEN_SECONDS", "RESTING", "PresenceLeases", "ProcessLease"]

#: For how long it is known when a user was present last.
LAST_SEEN_SECONDS = 90 * 86_400.0

#: Marks of a lease that is not renewed any more: the process has asked for that, or others have begun to bury it.
RESTING, BURIED = "r", "b"

#: The part of a lease for which nobody is dead after an outage: whoever lives renews its lease three times in one.
AMNESTY_PARTS = 2

_SOON = 1000  # milliseconds after which a new process looks for dead ones


class ProcessLease(NamedTuple):
    """Lease of one process; times are milliseconds since the epoch.

    Attributes:
        renewed: when it was renewed last.
        mark: empty, or why it is not renewed any more.
    """

    end: int
    renewed: int
    mark: str = ""


class PresenceLeases:
    """Leases of all processes; times are milliseconds since the epoch.

    Attributes:
        beat_at: when any process has renewed its lease last; 0 if none ever has.
        amnesty: until when nobody is taken for dead.
        seconds_ms: how long a lease lasts, by the last that was renewed.
        began: when the first lease began.
    """

    __slots__ = ("amnesty", "beat_at", "began", "leases", "seconds_ms")

    def __init__(
        self,
        leases: Mapping[str, ProcessLease] | None = None,
        *,
        beat_at: int = 0,
        amnesty: int = 0,
        seconds_ms: int = 0,
        began: int = 0,
    ) -> None:
        self.leases: dict[str, ProcessLease] = dict(leases or {})
        self.beat_at, self.amnesty, self.seconds_ms, self.began = beat_at, amnesty, seconds_ms, began

    def is_over(self, process: str, now: int) -> bool:
        """Whether a process is dead. One without a lease is, once all have had the time to begin theirs."""
        lease = self.leases.get(process)
        if lease is None:
            lease = ProcessLease(self.began + self.seconds_ms, 0)
            if not self.began:
                return False
        if lease.mark == BURIED:
            return True
        if now <= self.amnesty or now <= lease.end:
            return False
        return now - self.beat_at <= self.seconds_ms / 2 or now > lease.end + self.seconds_ms

    def is_alive(self, process: str, now: int) -> bool:
        """Whether a process has a lease that is not over."""
        return process in self.leases and not self.is_over(process, now)

    def last_seen(self, processes: Mapping[str, float], last: float | None, now: float) -> float | None:
        """When a user was present last, in seconds since the epoch; None if that is not known any more.

        Args:
            processes: where it is present, with when that was reported, in seconds.
            last: when it has left the others, in seconds.
            now: seconds.
        """
        seen = [] if last is None else [last]
        for process, reported in processes.items():
            if self.is_alive(process, int(now * 1000)):
                return now
            lease = self.leases.get(process)
            seen.append(reported if lease is None else max(reported, lease.renewed / 1000))
        return max((at for at in seen if at >= now - LAST_SEEN_SECONDS), default=None)

    def over(self, processes: Iterable[str], now: int) -> list[str]:
        """Those that are dead, in order."""
        return sorted(process for process in processes if self.is_over(process, now))

    def beat(self, process: str, seconds_ms: int, now: int) -> PresenceBeat:
        """Renew the lease of a process, or begin it."""
        if not self.began:
            self.began = now
        elif now - self.beat_at > seconds_ms / 2 and self.leases:
            self.amnesty = now + seconds_ms // AMNESTY_PARTS
        self.beat_at, self.seconds_ms = now, seconds_ms
        lease = self.leases.get(process)
        if lease is None or not lease.mark:
            self.leases[process] = ProcessLease(now + seconds_ms, now)
        was_known = lease is not None and lease.mark != BURIED
        others = self.leases.keys() - {process}
        dead = self.over(others, now)
        ends = [max(self.leases[other].end, self.amnesty) + 1 - now for other in others - set(dead)]
        if dead and not was_known:
            dead, ends = [], [*ends, _SOON]
        return PresenceBeat(was_known, dead, min(ends) / 1000 if ends else None)

    def rest(self, process: str, delay_ms: int, now: int) -> None:
        """End the lease of a process in so many milliseconds; it is not renewed any more."""
        lease, end = self.leases.get(process), now + delay_ms
        if lease is None or not lease.mark:
            self.leases[process] = ProcessLease(end, now, RESTING)
        elif lease.mark == RESTING and end < lease.end:
            self.leases[process] = lease._replace(end=end)

    def begin_burial(self, process: str, now: int) -> int | None:
        """Mark the lease of a dead process, which is not renewed from now on.

        Nobody is buried where no process has renewed its lease of late: after a long outage, whoever is the first to
        read takes all for dead.

        Returns:
            When the process has renewed it last, 0 if that is not known; None where it is not dead.
        """
        lease = self.leases.get(process) or ProcessLease(now, 0)
        is_alone = now - self.beat_at > self.seconds_ms / 2 and lease.mark != BURIED
        if is_alone or not self.is_over(process, now):
            return None
        self.leases[process] = lease._replace(mark=BURIED)
        return lease.renewed

    def end_burial(self, process: str) -> None:
        """Forget the lease of a process that was buried."""
        lease = self.leases.get(process)
        if lease is not None and lease.mark == BURIED:
            del self.leases[process]

    def forget(self, process: str) -> None:
        """Forget the lease of a process that was made for a trial."""
        self.leases.pop(process, None)

    def expect_burial(self, process: str, now: int) -> None:
        """Note that a process without a lease has reported something, so that somebody takes it back."""
        if process not in self.leases:
            self.leases[process] = ProcessLease(now, now, BURIED)
