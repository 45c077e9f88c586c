"""Rows of sessions and users by their keys, read with queries that Django has compiled once.

Most of what a query of one row costs is the making of its SQL, which is the same each time. No join can make one
query of the two: the user's key stands in the session's data, which is signed, and in nearly all sessions compressed,
so that no database can read it.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import connections, models, router
from django.db.models.manager import BaseManager
from django.utils import timezone

__all__ = ["read_session", "read_user"]


_LOAD = DatabaseStore.load
_GET = DatabaseStore._get_session_from_db  # type: ignore[attr-defined]
_BITS = 63  # of integers that every database takes


class _Query:
    """Query of one row, compiled for one database.

    Args:
        rows: a queryset whose parameters are placeholders, in the order in which ``row()`` takes them.
    """

    def __init__(self, rows: Any, alias: str) -> None:
        compiler = rows.query.get_compiler(using=alias)
        self._sql, _ = compiler.as_sql()
        self._converters = compiler.get_converters([column for column, _, _ in compiler.select])

    def row(self, connection: Any, parameters: tuple[Any, ...]) -> list[Any] | None:
        """The values of the row, as a model has them; None if there is none."""
        with connection.cursor() as cursor:
            cursor.execute(self._sql, parameters)
            row = cursor.fetchone()
        if row is None:
            return None
        converted = list(row)
        for position, (functions, expression) in self._converters.items():
            value = converted[position]
            for function in functions:
                value = function(value, expression, connection)
            converted[position] = value
        return converted


#: By model and the alias of the database; few.
_queries: dict[tuple[type[models.Model], str, str], _Query] = {}


def _is_plain(manager: Any) -> bool:
    """Whether a manager gives all rows of its model, in Django's own way, whoever asks and when."""
    kind = type(manager)
    return (
        kind.get_queryset is BaseManager.get_queryset
        and kind.get is models.Manager.get
        and manager._queryset_class is models.QuerySet
        and manager._db is None
    )


def read_session(session: Any) -> bool:
    """Load a session of Django's engine ``db``; False if it is of another one, and nothing was done."""
    kind: Any = type(session)
    if (
        not issubclass(kind, DatabaseStore)
        or kind.load is not _LOAD
        or kind._get_session_from_db is not _GET
        or not _is_plain(session.model.objects)
    ):
        return False
    model, key = session.model, session.session_key
    alias = router.db_for_read(model)
    connection = connections[alias]
    name = (model, alias, connection.vendor)
    query = _queries.get(name)
    if query is None:
        rows = model.objects.using(alias).filter(session_key=key).filter(expire_date__gt=timezone.now())
        query = _queries[name] = _Query(rows.values_list("session_data"), alias)
    row = query.row(connection, (key, connection.ops.adapt_datetimefield_value(timezone.now())))
    if row is None:
        session._session_key = None  # as load() has it
    session._session_cache = {} if row is None else _with_shared_names(session.decode(row[0]))
    return True


def _with_shared_names(data: dict[str, Any]) -> dict[str, Any]:
    """The data of a session, with what all sessions have in common kept once."""
    shared = {sys.intern(name): value for name, value in data.items()}
    backend = shared.get(BACKEND_SESSION_KEY)
    if backend in settings.AUTHENTICATION_BACKENDS:
        shared[BACKEND_SESSION_KEY] = sys.intern(str(backend))
    return shared


def read_user(model: Any, pk: Any) -> Any:
    """The user with a primary key; None if there is none, or if the model's manager may give another row.

    Args:
        pk: as Python has it.
    """
    manager = model._default_manager
    if not _is_plain(manager) or (isinstance(pk, int) and pk.bit_length() > _BITS):
        return None
    alias = router.db_for_read(model)
    connection = connections[alias]
    fields = model._meta.concrete_fields
    name = (model, alias, connection.vendor)
    query = _queries.get(name)
    if query is None:
        names = [field.attname for field in fields]
        query = _queries[name] = _Query(manager.using(alias).filter(pk=pk).values_list(*names), alias)
    row = query.row(connection, (model._meta.pk.get_db_prep_value(pk, connection),))
    return None if row is None else model.from_db(alias, [field.attname for field in fields], row)
