"""System checks of histories that are kept in the database: that there is one, and that it has their tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning

from ..rooms import database_of_histories, missing_tables
from ..routing import registry
from .registering import system_check

__all__ = ["check_database_histories", "check_tables", "problem_of_histories"]


def problem_of_histories(rooms: Sequence[Any]) -> str:
    """Why histories of these rooms cannot be kept in the database; empty if they can, or none is to be."""
    kept = [room for room in rooms if room.history is not None and room.history.database]
    if not kept or database_of_histories() is not None:
        return ""
    return (
        f"The history of the live room {kept[0].pattern!r} in {kept[0].place} is to be kept in the database, and "
        "there is none: DATABASES is empty."
    )


@system_check
def check_database_histories() -> Iterator[CheckMessage]:
    """E054: there is no database for the histories that it shall keep."""
    if problem := problem_of_histories(registry.rooms):
        yield Error(problem, hint="Set DATABASES, or declare History() without database=True.", id="fastws.E054")


def check_tables(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W055: the database of histories has no tables of theirs. It asks it, so only ``check --deploy`` runs it."""
    kept = [room for room in registry.rooms if room.history is not None and room.history.database]
    alias = database_of_histories() if kept else None
    missing = [] if alias is None else missing_tables(alias)
    if not missing:
        return []
    return [
        Warning(
            f"The database {alias!r} cannot keep the history of the live room {kept[0].pattern!r} in "
            f"{kept[0].place}: it has no table {', '.join(missing)}.",
            hint=f"Run manage.py migrate django_fastws --database {alias}.",
            id="fastws.W055",
        )
    ]
