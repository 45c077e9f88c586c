"""A handler's arguments, bound without a socket."""

from __future__ import annotations

import enum

from django_fastws._core.query import parse_query
from django_fastws.routing.signatures import read_signature


class Color(enum.Enum):
    RED = "red"


def bind(handler, query="", path=None, *, caller=None, limit=1000):
    return read_signature(handler, caller or {}).bind(path or {}, parse_query(query.encode(), limit))
