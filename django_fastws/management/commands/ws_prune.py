"""Command ``manage.py ws_prune``: removes what histories in the database do not keep any more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_fastws.rooms import (
    Pruned,
    begin_anew,
    database_of_histories,
    history_of,
    missing_tables,
    prune,
    rooms_with_rows,
)
from django_fastws.routing import registry


class Command(BaseCommand):
    """Command that prunes the histories of rooms."""

    help = (
        "Removes from the database what the histories of live rooms do not keep any more: events over the bounds of "
        "History(messages, seconds, bytes), idempotency keys, and rooms in which nothing has happened for long."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Say what would be removed, and remove nothing.")
        parser.add_argument(
            "--undeclared",
            action="store_true",
            help="Remove everything of rooms, too, that are not declared with History(database=True) any more.",
        )
        parser.add_argument(
            "--restored",
            action="store_true",
            help="The database was restored, or may lack its last commits: begin each history in another epoch.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if registry.problems:  # the rooms of which are not declared
            raise CommandError(f"{registry.problems[0].module} was not loaded: {registry.problems[0].error}")
        alias = database_of_histories()
        if alias is None:
            raise CommandError("There is no database: DATABASES is empty.")
        if missing := missing_tables(alias):
            raise CommandError(
                f"The database {alias!r} has no table {', '.join(missing)}: run "
                f"manage.py migrate django_fastws --database {alias}."
            )
        if registry.rooms:
            from django_fastws.live import live_rooms

            live_rooms()  # whose declarations are found by names from now on
        if options["restored"] and not options["dry_run"]:
            self.stdout.write(f"{_count(begin_anew(alias), 'history', 'histories')} in another epoch.")
        removes, total, others = not options["dry_run"], Pruned(), 0
        for room_id, name in rooms_with_rows(alias):
            history = history_of(name)
            is_kept = history is not None and history.database
            if not is_kept and not options["undeclared"]:
                others += 1
                continue
            pruned = prune(alias, room_id, history if is_kept else None, removes=removes)
            if any(pruned) and options["verbosity"] > 1:
                self.stdout.write(f"{name if name.isprintable() else ascii(name)}: {_shown(pruned)}")
            total += pruned
        self.stdout.write(f"{'Removed' if removes else 'Would remove'} {_shown(total)}.")
        if others:
            self.stdout.write(f"Left {_count(others, 'room')} that no pattern matches: --undeclared removes them.")


def _shown(pruned: Pruned) -> str:
    events = f"{_count(pruned.events, 'event')} of {_count(pruned.size, 'byte')}"
    return f"{events}, {_count(pruned.keys, 'idempotency key')}, {_count(pruned.rooms, 'room')}"


def _count(number: int, what: str, several: str = "") -> str:
    return f"{number} {what if number == 1 else several or what + 's'}"
