"""FASTWS_DB_SETUP: whose rows a socket sees."""

from typing import Any

from django.db import connection


def set_user(scope: dict[str, Any]):
    user = scope.get("user")  # none while the user is being looked up
    key = str(user.pk) if user is not None and user.is_authenticated else ""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.user', %s, false)", [key])


def set_tenant(scope: dict[str, Any]):
    from django_tenants.utils import get_tenant_domain_model

    host = dict(scope["headers"])[b"host"].decode().partition(":")[0]
    tenants: Any = connection  # whose class is django-tenants' own
    tenants.set_schema_to_public()
    domain = get_tenant_domain_model().objects.select_related("tenant").get(domain=host)
    tenants.set_tenant(domain.tenant)
