"""Unix sockets: their paths, and the recovery of one that a killed process has left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from typing import Any

from twisted.internet.endpoints import _parse as parse_endpoint

try:
    import fcntl
except ImportError:  # not a POSIX system, which has none of this
    fcntl = None  # type: ignore[assignment]

__all__ = ["UnixSocket", "UnixSocketError", "claimed", "leave_path"]

_LONGEST = 107  # bytes of a path, with Linux; 103 with macOS
_SECONDS = 2.0  # for a server that lives to take a connection


class UnixSocketError(Exception):
    """Path on which nobody can listen; the text says why, and what to do."""


class UnixSocket:
    """Unix socket on which the server listens.

    Args:
        path: in the file system.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._id: tuple[int, int] | None = None

    @classmethod
    def of(cls, endpoint: str) -> UnixSocket | None:
        """The socket of an endpoint such as ``unix:/run/site.sock``; None if it is of another kind."""
        try:
            arguments, options = parse_endpoint(endpoint)
        except (IndexError, ValueError):
            return None  # Twisted says what is wrong with it
        path = arguments[1] if len(arguments) > 1 else options.get("address")
        if arguments[:1] != ["unix"] or not path or path.startswith("\0"):
            return None
        return cls(path)

    @property
    def folder(self) -> str:
        """The directory of the path."""
        return os.path.dirname(os.path.abspath(self.path))

    def recover(self) -> None:
        """Make the path free to be bound, unless a server listens there.

        Raises:
            UnixSocketError: nobody can listen there.
        """
        if len(os.fsencode(self.path)) > _LONGEST:
            raise UnixSocketError(f"the path {self.path!r} is too long for a socket: {_LONGEST} bytes is the most")
        if not os.path.isdir(self.folder):
            raise UnixSocketError(f"cannot make a socket in {self.folder!r}: there is no such directory")
        if not os.access(self.folder, os.W_OK | os.X_OK):
            raise UnixSocketError(f"cannot make a socket in {self.folder!r}: no permission to write there")
        self._recover()

    def _recover(self) -> None:
        try:
            kind = os.lstat(self.path).st_mode
        except FileNotFoundError:
            pass
        else:
            if not stat.S_ISSOCK(kind):
                raise UnixSocketError(f"{self.path!r} is there, and no socket: choose another path, or remove it")
            if _is_served(self.path):
                raise UnixSocketError(f"another server listens on {self.path!r}: stop it, or choose another path")
            self._remove(self.path)
        # Twisted's lock, of an earlier version: the process that had it listens no more.
        lock = f"{self.path}.lock"
        if os.path.islink(lock):
            self._remove(lock)

    def _remove(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise UnixSocketError(f"cannot remove {path!r}, which a former server left: {error.strerror}") from None

    def adopt(self, port: Any) -> None:
        """Take over from Twisted the removal of the path at the end, if it is still this socket's."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            self._id = (found.st_dev, found.st_ino)
        leave_path(port)

    def remove(self) -> None:
        """Remove the path, unless somebody else has removed or replaced it meanwhile."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.path)
            if self._id == (found.st_dev, found.st_ino):
                os.unlink(self.path)


@contextlib.contextmanager
def claimed(sockets: list[UnixSocket]) -> Iterator[None]:
    """Make the paths of sockets free to be bound; no other server that starts does so meanwhile.

    Raises:
        UnixSocketError: nobody can listen on one of them.
    """
    with contextlib.ExitStack() as stack:
        for folder in sorted({unix.folder for unix in sockets}):
            # What the kernel locks, it unlocks however the process ends. Where it cannot, nothing is lost but this.
            with contextlib.suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY)
                stack.callback(os.close, descriptor)
                _lock(descriptor)
        for unix in sockets:
            unix.recover()
        yield


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return  # somebody else's lock, for another purpose
            time.sleep(0.02)
        else:
            return


def leave_path(port: Any) -> None:
    """Have a port of Twisted's not remove the path that it was bound to."""
    if hasattr(port, "_bindPath"):
        port._bindPath = b"\0" + port._bindPath.lstrip(b"\0")  # as those are that stand in no file system


def _is_served(path: str) -> bool:
    """Whether a server listens on a path, be it so busy that it takes no connection."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.EACCES:
                raise UnixSocketError(f"{path!r} belongs to somebody else: no permission to use it") from None
            return error.errno != errno.ECONNREFUSED
    return True
