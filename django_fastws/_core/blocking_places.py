"""Place in the code that blocks an event loop, by the frames of the loop's thread."""

from __future__ import annotations

import linecache
import os
import sysconfig
from collections.abc import Sequence
from types import FrameType
from typing import NamedTuple

__all__ = ["BlockingPlace", "blocking_place", "frames_of", "is_debugged"]

_LONGEST_SOURCE = 100
_DEBUGGERS = ("bdb.", "debugpy.", "ipdb.", "pdb.", "pudb.", "pydevd")  # the names of their modules begin so
_LIBRARIES = tuple(
    {path.rstrip(os.sep) + os.sep for name, path in sysconfig.get_paths().items() if "lib" in name}
    | {os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep}
)


class BlockingPlace(NamedTuple):
    """Place that blocks.

    Attributes:
        file, line, function: of the project's own code, if there is any on the stack; else of what runs.
        inside: what that has called, in which it is just now: file, line and function; "" if that is no Python.
    """

    file: str
    line: int
    function: str
    inside: str

    @property
    def name(self) -> str:
        """File and line."""
        return f"{self.file}:{self.line}"

    @property
    def text(self) -> str:
        """The place for a log line, with the source of the line."""
        source = linecache.getline(os.path.abspath(self.file), self.line).strip()
        if len(source) > _LONGEST_SOURCE:
            source = f"{source[:_LONGEST_SOURCE]}…"
        shown = f"{self.name} in {self.function}()"
        if source:
            shown = f"{shown}: {source}"
        return f"{shown} (just now in {self.inside})" if self.inside else shown


def frames_of(innermost: FrameType | None) -> list[FrameType]:
    """The frames of a stack, the outermost first."""
    found: list[FrameType] = []
    while innermost is not None:
        found.append(innermost)
        innermost = innermost.f_back
    found.reverse()
    return found


def blocking_place(frames: Sequence[FrameType]) -> BlockingPlace:
    """The place that blocks.

    Args:
        frames: of the callback, the outermost first; at least one.
    """
    innermost = frames[-1]
    own = next((frame for frame in reversed(frames) if not _is_library(frame.f_code.co_filename)), innermost)
    inside = "" if own is innermost else f"{_shown_file(innermost)}:{innermost.f_lineno} {innermost.f_code.co_name}()"
    return BlockingPlace(_shown_file(own), own.f_lineno or 0, own.f_code.co_name, inside)


def is_debugged(frames: Sequence[FrameType]) -> bool:
    """Whether somebody looks at this code in a debugger, which stops it."""
    return any(frame.f_trace is not None or _module_of(frame).startswith(_DEBUGGERS) for frame in frames)


def _module_of(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).lstrip("_") + "."


def _is_library(file: str) -> bool:
    return file.startswith(("<", *_LIBRARIES)) or "site-packages" in file or "dist-packages" in file


def _shown_file(frame: FrameType) -> str:
    """The file, from the working directory on if it is below that."""
    file = frame.f_code.co_filename
    here = os.getcwd() + os.sep
    return file.removeprefix(here)
