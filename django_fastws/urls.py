"""URLs of the docs page of live rooms: ``path("live/", include("django_fastws.urls"))``."""

from __future__ import annotations

from django.urls import path

from .schema import asyncapi_view, docs_view, json_schema_view, typescript_view

__all__ = ["app_name", "urlpatterns"]

app_name = "django_fastws"

urlpatterns = [
    path("", docs_view, name="docs"),
    path("asyncapi.json", asyncapi_view, name="asyncapi"),
    path("schema.json", json_schema_view, name="json-schema"),
    path("rooms.d.ts", typescript_view, name="typescript"),
]
