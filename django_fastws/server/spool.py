"""Spool of a request's body: in memory while it is small, then in a temporary file; with a limit on all together."""

from __future__ import annotations

import os
import tempfile

from ..conf import conf

__all__ = ["Spool", "SpoolFull", "Spools"]

_IN_MEMORY = 64 * 1024  # bytes of one body
_MEASURE_EVERY = 1024 * 1024  # bytes between two looks at how much of the disk is free


class SpoolFull(Exception):
    """Limit of all spools reached; ``is_alone`` where this body would be too large without the others, too."""

    def __init__(self, *, is_alone: bool) -> None:
        super().__init__("no room for request bodies")
        self.is_alone = is_alone


class Spools:
    """Size limit of all spools together: of request bodies that have come and were not received yet."""

    def __init__(self) -> None:
        self.held = 0
        self._limit = 0.0
        self._measured_at = -_MEASURE_EVERY
        self._taken = 0

    def check(self, size: int, *, own: int = 0) -> None:
        """Raise SpoolFull if so many more bytes do not fit; ``own`` is what the body already holds."""
        limit = self._current_limit()
        if self.held + size > limit:
            raise SpoolFull(is_alone=own + size > limit)

    def take(self, size: int, *, own: int = 0) -> None:
        """Count so many more bytes, or raise SpoolFull."""
        self.check(size, own=own)
        self.held += size
        self._taken += size

    def give_back(self, size: int) -> None:
        """Count so many bytes less."""
        self.held -= size

    def _current_limit(self) -> float:
        limit = conf.max_spool_bytes
        if limit is not None:
            return limit
        if self._taken - self._measured_at >= _MEASURE_EVERY:
            self._measured_at = self._taken
            self._limit = _half_of_the_disk(self.held)
        return self._limit


def _half_of_the_disk(held: int) -> float:
    """Half of what is free where temporary files are, what is held already included."""
    try:
        disk = os.statvfs(tempfile.gettempdir())
    except (AttributeError, OSError):  # not a POSIX system, or no such directory
        return float("inf")
    return (disk.f_bavail * disk.f_frsize + held) / 2


class Spool:
    """Spool of one request's body, in the place of the file that Twisted writes it into.

    Args:
        spools: what it is counted in.
    """

    def __init__(self, spools: Spools) -> None:
        self._spools = spools
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed by the request
        self.size = 0

    def write(self, data: bytes) -> int:
        """Append what has come.

        Raises:
            SpoolFull: the limit on all bodies together is reached.
            OSError: the disk does not take it.
        """
        self._spools.take(len(data), own=self.size)
        self.size += len(data)
        return self._file.write(data)

    def read(self, size: int = -1) -> bytes:
        """The next so many bytes."""
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Change the position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    @property
    def closed(self) -> bool:
        """Whether what it took is free again."""
        return self._file.closed

    def close(self) -> None:
        """Free what it takes, at once; as often as one likes."""
        if not self._file.closed:
            self._file.close()
            self._spools.give_back(self.size)
