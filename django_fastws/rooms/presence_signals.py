"""Signals of presence: whoever has made a change in the layer tells of it, so that it is told once in the cluster."""

from __future__ import annotations

from .._core.json import loads
from .._core.presence_reports import PresenceDiff
from .._core.present import Present
from ..layer import announce
from ..signals import presence_joined, presence_left

__all__ = ["tell"]

_SIGNALS = {"joined": presence_joined, "left": presence_left}


def tell(room: str, diff: PresenceDiff) -> None:
    """Send the signals of what has changed in a room, by its name."""
    for kind, key, present in diff.changes:
        signal = _SIGNALS.get(kind)
        if signal is not None and signal.has_listeners(Present):
            announce(signal, Present, room=room, key=key, meta=loads(present.meta))
