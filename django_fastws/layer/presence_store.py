"""Presence store: what a channel layer keeps of who is present in rooms, as one interface for every kind of layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence

from .._core.presence_reports import PresenceBeat, PresenceDiff, PresenceReport, PresenceSnapshot, Reported

__all__ = ["TRIAL", "PresenceStore"]

#: How the name of a process begins that is none, but tries whether presence works, and is forgotten afterwards.
TRIAL = "fastws.trial."


class PresenceStore(ABC):
    """Reports of all processes of a layer of who is present, put together; one for each broker that has presence.

    Every process has a lease, which it renews by ``abeat()``. One whose lease is over is dead: somebody who notices
    that buries it, which takes its reports back. All of it counts by the clock of the layer.

    Times after an outage: where no process could renew its lease for more than half a lease, nobody is taken for dead
    for half of a lease, so that all can come back.

    Rooms are named by their names, of which the store makes groups (``_core.groups``); so whoever buries a process
    learns the names.

    Methods whose names begin with ``a`` may be called in any running loop, the others in any thread without one. The
    only error of a layer that cannot be reached is ``WebSocketConnectionError``. What was sent and not answered may
    have been carried out: every method may be called again, and then has the effect of one call.
    """

    @abstractmethod
    async def areport(self, room: str, process: str, reports: Sequence[PresenceReport]) -> Reported:
        """Replace what a process has reported of keys in a room; publish what has changed by it, in the same step.

        Each subscriber of the room's group gets an envelope with the diff: ``Envelope.presence``. Where nothing has
        changed, nothing is published, and ``v`` stays. More keys than ``MOST_KEYS`` are taken in several steps, each
        with a diff of its own; what is returned has all of them, and the ``v`` of the last.

        A connection that the process has not reported before, and another process has, has moved here and is taken
        away there; unless its card is newer there: then it has moved away from here, and is left out. One that is
        held is left out as well where all that the process has reported of its key has moved away.

        Reports of one process of one room must not overlap: the caller awaits one before the next.

        Args:
            process: that of the lease, which it must have; it is noted to be in the room before anything else. What
                one reports whose lease was forgotten is taken for a dead one's, and taken back.
        """

    @abstractmethod
    async def aread(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        """Read who is present in a room, and which leases are over.

        Args:
            without: processes whose reports are left out; then all is read, and ``total`` is without them, too.
            counts_only: read how many there are, and not who, which costs the same for any number. ``dead`` has all
                processes whose lease is over then, wherever they are.
        """

    @abstractmethod
    def read(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        """As ``aread``."""

    @abstractmethod
    async def abeat(self, process: str, seconds: float) -> PresenceBeat:
        """Renew the lease of a process, or begin it; from now on it lasts so many seconds."""

    @abstractmethod
    async def arest(self, process: str, seconds: float) -> None:
        """End the lease of a process in so many seconds; it drains, and its clients are expected back elsewhere."""

    @abstractmethod
    def abury(self, process: str) -> AsyncIterator[tuple[str, PresenceDiff]]:
        """Take back all that a dead process has reported, room by room; yields the room's name and what has changed.

        Of several that do so at the same time, each change is yielded to one. When it has ended, the lease is
        forgotten. A process whose lease is not over any more is left alone; and so are all while no
        process renews its lease, as after a long outage.
        """

    @abstractmethod
    def bury(self, process: str) -> Iterator[tuple[str, PresenceDiff]]:
        """As ``abury``."""

    async def aforget(self, room: str, process: str) -> None:
        """Forget that a room and a process have ever been, which were made for a trial; nothing is told of it.

        Args:
            process: its name begins with ``TRIAL``.
        """
        raise NotImplementedError(f"{type(self).__name__} cannot forget a trial")

    @abstractmethod
    async def areport_users(self, process: str, users: Mapping[str, float | None]) -> None:
        """Report users who are present in some room of a process, or are not any more.

        Args:
            users: by key: None for one who is present; else, how many seconds ago the last connection ended.
        """

    @abstractmethod
    async def aonline(self, users: Sequence[str]) -> set[str]:
        """Which of these users are present in some room of a process whose lease is not over; one round trip."""

    @abstractmethod
    def online(self, users: Sequence[str]) -> set[str]:
        """As ``aonline``."""

    @abstractmethod
    async def alast_seen(self, user: str) -> float | None:
        """When a user was present last, in seconds since the epoch; now for one who is; None if that is not known.

        It is known for 90 days. Of a process that has died, it is when that renewed its lease last.
        """

    @abstractmethod
    def last_seen(self, user: str) -> float | None:
        """As ``alast_seen``."""
