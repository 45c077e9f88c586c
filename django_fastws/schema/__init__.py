"""Schema of live rooms: their description, as AsyncAPI, JSON Schema and TypeScript."""

from __future__ import annotations

from .asyncapi import Info, asyncapi
from .description import CallSchema, Description, EventSchema, Parameter, RoomSchema, describe
from .json_schema import json_schema
from .typescript import typescript

__all__ = [
    "CallSchema",
    "Description",
    "EventSchema",
    "Info",
    "Parameter",
    "RoomSchema",
    "asyncapi",
    "describe",
    "json_schema",
    "typescript",
]
