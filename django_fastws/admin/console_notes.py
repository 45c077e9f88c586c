"""Notes of the console: how whole an answer of all processes is, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..console import RowPage
from ..layer import is_local
from .console_text import counted

__all__ = ["Note", "answers_note"]


class Note(dict[str, Any]):
    """Note above what is shown: how whole it is, and what to do. A dict for the template.

    Args:
        level: "error", "warning" or "quiet".
        text: the note.
        more: lines below it.
    """

    def __init__(self, level: str, text: str, more: Iterable[str] = ()) -> None:
        super().__init__(level=level, text=text, more=list(more))


def answers_note(page: RowPage[Any], seconds: float) -> Note:
    """How whole an answer of all processes is."""
    if not page.answered and not page.missing:
        return Note("error", f"No process has answered within {seconds:g} s. {_remedy_of_silence()}")
    errors = [f"{process}: {error}" for process, error in list(page.errors.items())[:10]]
    if page.missing:
        missing = counted(page.missing, "process has", "processes have")
        return Note(
            "warning",
            f"This is not all: {missing} not answered within {seconds:g} s, and what is there is not shown.",
            ["Such a process is stopped, blocked or far away: manage.py ws_doctor says more.", *errors],
        )
    if errors:
        return Note("warning", "This is not all: a process could not answer.", errors)
    return Note("quiet", f"{counted(page.answered, 'process has', 'processes have')} answered.")


def _remedy_of_silence() -> str:
    if is_local():
        return (
            "CHANNEL_LAYERS has no layer that connects processes: only the sockets of this process could be seen, "
            "and it serves none. Use django_fastws.layer.RedisChannelLayer."
        )
    return "Is a server running on this channel layer? manage.py ws_doctor says what is wrong."
