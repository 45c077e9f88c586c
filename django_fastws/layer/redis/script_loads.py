"""Commands that load every script that is called, all at once or along with a call."""

from __future__ import annotations

from ..._core.resp import command
from .history_scripts import CLEAR, READ, STORE
from .latest_commands import KEEP, READ_LATEST

__all__ = ["LOAD_SCRIPTS", "with_script"]

_scripts = {script.sha1: script.text for script in (STORE, READ, CLEAR, KEEP, READ_LATEST)}

#: Commands that load the scripts.
LOAD_SCRIPTS = tuple(command(b"SCRIPT", b"LOAD", text) for text in _scripts.values())


def with_script(data: bytes) -> bytes:
    """A command that calls a script by its name, as one that brings the script along, and so loads it."""
    count, _, _, _, sha1, rest = data.split(b"\r\n", 5)
    text = _scripts[sha1]
    return b"%b\r\n$4\r\nEVAL\r\n$%d\r\n%b\r\n%b" % (count, len(text), text, rest)
