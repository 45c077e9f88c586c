"""Recipients of the broadcasts of a room: its members in a flat list, each with the way to its socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from .messages import Batch, Payload

__all__ = ["Post", "Recipients", "Sink", "not_direct", "sink_of"]

Post = Callable[[Payload | Batch], bool | None]
"""Sends to one member without waiting; True if that is left to a task, which was started for it."""


def not_direct(frames: bytes) -> int:
    """The ``direct`` of a sink that must not be written to directly now: it takes nothing."""
    return -1


class Sink(Protocol):
    """Way to the socket of one member.

    Attributes:
        direct: writes frames to the socket, as ``socket.send`` does, past all that could be asked before: it is
            ``not_direct`` as soon as anything must come before them, or they must not be sent at all. It returns how
            many bytes were taken, or less than 0 if that is for ``post()``.
    """

    @property
    def direct(self) -> Callable[[bytes], int]: ...

    @property
    def post(self) -> Post:
        """Sends messages behind all that was sent before, and makes it ``direct`` again if that may be."""

    def write_rest(self, rest: bytes) -> None:
        """Send the rest of frames of which ``direct`` has taken less, before anything else."""


class _PostSink:
    """Sink of a member that has only a function that posts."""

    __slots__ = ("post",)

    direct = staticmethod(not_direct)

    def __init__(self, post: Post) -> None:
        self.post = post

    def write_rest(self, rest: bytes) -> None:
        """Nothing was taken directly."""


def sink_of(post: Post) -> Sink:
    """The sink that a function posts to: the object whose method it is, if that can be written to directly."""
    owner: Any = getattr(post, "__self__", None)
    return owner if hasattr(owner, "direct") else _PostSink(post)


class Recipients(NamedTuple):
    """The members of a room in order, and the sink of each.

    A room keeps them from one broadcast to the next, until a member comes or goes: so a fan-out reaches for nothing
    of a member but its sink.
    """

    members: list[Any]
    sinks: list[Sink]

    @classmethod
    def of(cls, members: Mapping[Any, Post]) -> Recipients:
        """Those of a room."""
        return cls(list(members), [sink_of(post) for post in members.values()])
