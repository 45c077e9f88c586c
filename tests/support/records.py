"""Records of publishers: what a test's application has stored itself, before it broadcasts that it has.

Each publisher of a room appends to a file of its own; every process reads them all.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

__all__ = ["append", "directory", "records"]

_RECORD = b"."


def directory(room: str) -> Path:
    """Where the files of a room are."""
    base = os.environ.get("TEST_RECORDS") or tempfile.gettempdir()
    return Path(base) / f"records-{room.replace('/', '-')}"


def append(room: str, publisher: str) -> int:
    """Store one record more of a publisher; its number, from 1 on."""
    path = directory(room) / publisher
    with path.open("ab") as file:
        file.write(_RECORD)
        return file.tell()


def records(room: str) -> dict[str, int]:
    """How many records each publisher has stored."""
    return {path.name: path.stat().st_size for path in directory(room).iterdir()}
