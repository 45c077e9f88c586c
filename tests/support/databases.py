"""Further databases in the process of a test: SQLite in a file, or PostgreSQL, with the tables of histories."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asgiref.sync import SyncToAsync
from django.core.management import call_command
from django.db import connections

from django_fastws.threads import threads

__all__ = ["HistoriesRouter", "histories_in", "in_threads"]

_numbers = itertools.count(1)


class HistoriesRouter:
    """Router of Django's that keeps histories in one database, and nothing else there.

    Attributes:
        alias: of that database.
    """

    alias = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        return "nowhere" if model._meta.app_label == "django_fastws" else None  # replicas are behind

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return self.alias if model._meta.app_label == "django_fastws" else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return (app_label == "django_fastws") == (db == self.alias)


@contextlib.contextmanager
def histories_in(options: Mapping[str, Any], settings: Any) -> Iterator[str]:
    """Keep histories in a database that is described as in DATABASES, for a while; yields its alias.

    Args:
        settings: pytest's, which has a router as long as the test lasts, and undoes its changes in their order.
    """
    alias = f"histories-{next(_numbers)}"
    connections.databases[alias] = connections.configure_settings({"default": {}, alias: dict(options)})[alias]
    router = type("Router", (HistoriesRouter,), {"alias": alias})()
    try:
        settings.DATABASE_ROUTERS = [router]
        call_command("migrate", "django_fastws", database=alias, verbosity=0)
        yield alias
    finally:
        threads.close_at_exit()
        SyncToAsync.single_thread_executor.submit(_close, alias).result()
        _close(alias)
        del connections.databases[alias]


def _close(alias: str) -> None:
    connections[alias].close()


def in_threads(alias: str, count: int, work: Callable[[int], Any]) -> list[Any]:
    """Call a function in several threads at the same time, which close their connections; returns the results."""

    def one(number: int) -> Any:
        try:
            return work(number)
        finally:
            _close(alias)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
