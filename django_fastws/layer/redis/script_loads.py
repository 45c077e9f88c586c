"""Commands that load every script that is called, all at once or along with a call; and what one has published."""

from __future__ import annotations

from typing import Any

from ..._core.resp import command, spublish_command
from ..._core.slots import parts_of
from .history_scripts import CLEAR, MARK, READ, STORE
from .latest_commands import KEEP, READ_LATEST
from .presence_lease_scripts import LEASE_SCRIPTS
from .presence_scripts import READ_ROOM, REPORT, TAKE_BACK
from .scripts import SHARDED_END

__all__ = ["LOAD_SCRIPTS", "announcement", "with_script"]

_OF_ROOMS = (STORE, READ, CLEAR, KEEP, READ_LATEST, REPORT, TAKE_BACK, READ_ROOM)

_scripts = {script.sha1: script.text for script in (*_OF_ROOMS, *LEASE_SCRIPTS)}

#: Commands that load the scripts.
LOAD_SCRIPTS = tuple(command(b"SCRIPT", b"LOAD", text) for text in _scripts.values())


def with_script(data: bytes) -> bytes:
    """A command that calls a script by its name, as one that brings the script along, and so loads it."""
    count, _, _, _, sha1, rest = data.split(b"\r\n", 5)
    text = _scripts[sha1]
    return b"%b\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n%b" % (count, len(text), text, rest)


#: Where the channel and the data of what is stored stand among the arguments of a script.
_PUBLISHED = {STORE.sha1: (0, 8), KEEP.sha1: (2, 4)}


def announcement(data: bytes, reply: Any) -> bytes | None:
    """The command that publishes once more what a script has stored and published.

    While a slot is moved, a script may be executed where nobody is subscribed yet. Whoever hears it twice knows that
    by its position.

    Args:
        data: the command that has called the script.
        reply: to that command.
    Returns:
        None where nothing was stored, or is not published on a sharded channel.
    """
    if not isinstance(reply, bytes) or not reply:
        return None
    verb, sha1, *parts = parts_of(data)
    places = _PUBLISHED.get(sha1) if verb == b"EVALSHA" else None
    if places is None:
        return None
    arguments = parts[1 + int(parts[0]) :]
    channel, stored = (arguments[place] for place in places)
    if not channel.endswith(SHARDED_END.encode()):
        return None
    return spublish_command(channel, b"%b%b\n%b" % (MARK, reply, stored))
