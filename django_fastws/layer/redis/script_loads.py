"""Commands that load every script that is called."""

from __future__ import annotations

from ..._core.resp import command
from .history_scripts import CLEAR, READ, STORE
from .latest import KEEP, READ_LATEST

__all__ = ["LOAD_SCRIPTS"]

LOAD_SCRIPTS = tuple(command(b"SCRIPT", b"LOAD", script.text) for script in (STORE, READ, CLEAR, KEEP, READ_LATEST))
