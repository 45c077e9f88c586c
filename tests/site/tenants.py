"""What FASTWS_DB_SETUP of the tests' servers calls: the tenant stands in the query string."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from django.db import connection


def tenant_of(scope: dict[str, Any]) -> str:
    """The tenant of a connection; "" without one."""
    return parse_qs(scope.get("query_string", b"").decode()).get("tenant", [""])[0]


def set_up(scope: dict[str, Any]) -> None:
    """Make everything that is set on a connection the tenant's own."""
    tenant = tenant_of(scope)
    if tenant == "unknown":
        raise LookupError("on purpose: no such tenant")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant', %s, false)", [tenant])
        cursor.execute("SELECT set_config('search_path', %s, false)", [f"tenant_{tenant}" if tenant else "public"])
