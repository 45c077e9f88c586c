"""Annotations of handlers: strings, closures, converters, and what is imported for type checkers alone."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Optional

import pytest

from django_fastws import RouteError
from django_fastws.routing.signatures import read_signature
from tests.routing.binding import Color, bind

if TYPE_CHECKING:
    import email.message  # noqa: F401 (below, in strings)
    import http as h
    from fractions import Fraction  # noqa: F401
    from http import HTTPMethod
    from http import HTTPStatus as Status

    from somewhere import Unseen
# This module has `from __future__ import annotations`: every annotation below is a str until it is resolved.


def test_types_local_to_a_function():
    class Mood(enum.Enum):
        GOOD = "good"

    async def handler(ws, mood: Mood, moods: list[Mood] | None = None): ...

    assert bind(handler, "mood=good", caller=locals()) == {"mood": Mood.GOOD, "moods": None}


def test_the_names_of_path_converters_are_annotations():
    async def handler(ws, a: "slug", b: "path", c: "slug", d: slug = "x"): ...  # noqa: F821, UP037

    signature = read_signature(handler, {})
    assert {name: made.path_converter for name, made in signature.parameters.items()} == {
        "a": "slug",
        "b": "path",
        "c": "slug",
        "d": "slug",
    }


def test_the_websockets_annotation_is_not_looked_at():
    async def handler(ws: Unseen, a: int = 1): ...

    assert bind(handler) == {"a": 1}


def test_an_annotation_that_cannot_be_resolved_is_refused_with_what_to_do():
    async def handler(ws, unseen: Unseen): ...

    with pytest.raises(RouteError) as raised:
        read_signature(handler, {})
    words = str(raised.value)
    assert "'Unseen'" in words
    assert "'unseen'" in words
    assert "handler()" in words
    assert "import it where the handler can see it" in words


def test_what_is_imported_for_type_checkers_alone_is_found():
    async def handler(ws: Unseen, method: HTTPMethod, codes: list[Status], more: h.HTTPStatus | None = None): ...

    expected = {"method": "GET", "codes": [200, 404], "more": 404}
    assert "HTTPMethod" not in globals()
    assert bind(handler, "method=GET&codes=200&codes=404&more=404") == expected


def test_what_is_imported_for_type_checkers_and_cannot_be_a_parameter_is_refused_as_such():
    for annotation in ("Fraction", "email.message.Message"):

        async def handler(ws, x): ...

        handler.__annotations__["x"] = annotation
        with pytest.raises(RouteError, match="cannot come from a path or a query string"):
            read_signature(handler, {})


def test_an_annotation_in_quotes_where_all_are_strings_already():
    async def handler(ws, page: "int"): ...  # noqa: UP037

    assert bind(handler, "page=5") == {"page": 5}


def test_a_forward_reference_within_an_annotation():
    async def handler(ws, color: Optional["Color"] = None): ...  # noqa: UP037, UP045

    assert bind(handler, "color=red") == {"color": Color.RED}


def test_a_type_of_the_handlers_own_closure():
    def make():
        class Mood(enum.Enum):
            GOOD = "good"

        async def handler(ws, mood: Mood):
            return Mood

        return handler

    assert bind(make(), "mood=good")["mood"].name == "GOOD"
