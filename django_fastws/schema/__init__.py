"""Schema of live rooms: their description, as AsyncAPI, JSON Schema and TypeScript, and as a page with a console."""

from __future__ import annotations

from .asyncapi import Info, asyncapi
from .description import CallSchema, Description, EventSchema, ParameterSchema, RoomSchema, describe
from .docs import asyncapi_view, docs_view, json_schema_view, typescript_view
from .json_schema import json_schema
from .typescript import typescript

__all__ = [
    "CallSchema",
    "Description",
    "EventSchema",
    "Info",
    "ParameterSchema",
    "RoomSchema",
    "asyncapi",
    "asyncapi_view",
    "describe",
    "docs_view",
    "json_schema",
    "json_schema_view",
    "typescript",
    "typescript_view",
]
