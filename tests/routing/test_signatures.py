"""What may be a handler, and what it takes: annotations as they are written."""

from __future__ import annotations

import datetime as dt
import functools
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional
from uuid import UUID

import pytest
from annotated_types import Gt, Predicate
from hypothesis import given
from hypothesis import strategies as st

from django_fastws import Query, RouteError, WebSocket
from django_fastws._core.parameters import ParameterError
from django_fastws._core.paths import parse
from django_fastws._core.query import QueryError, parse_query
from django_fastws.routing.signatures import label_of, place_of, read_signature

if TYPE_CHECKING:
    import email.message  # noqa: F401 (below, in strings)
    from fractions import Fraction  # noqa: F401

from tests.routing.binding import Color, bind


async def every(
    ws: WebSocket,
    a: str,
    b: int,
    c: float,
    d: bool,
    e: UUID,
    f: Decimal,
    g: dt.date,
    h: dt.datetime,
    i: Color,
    j: Literal["x", "y"],
    k: int | None,
    l: list[int],  # noqa: E741
    m: Optional[str],  # noqa: UP045
    n: Annotated[int, "a note"],
    o: dt.time = dt.time(12),
    p: int = 5,
    q=None,
    r=1.5,
    s=True,
    t="x",
): ...


QUERY = (
    "a=x&b=1&c=1.5&d=yes&e=12345678-1234-5678-1234-567812345678&f=1.10&g=2024-12-31&h=2024-12-31T00:00:00Z&i=red&j=x"
    "&k=2&l=1&l=2&m=y&n=3"
)


VALUES = {
    "a": "x",
    "b": 1,
    "c": 1.5,
    "d": True,
    "e": UUID("12345678-1234-5678-1234-567812345678"),
    "f": Decimal("1.10"),
    "g": dt.date(2024, 12, 31),
    "h": dt.datetime(2024, 12, 31, tzinfo=dt.UTC),
    "i": Color.RED,
    "j": "x",
    "k": 2,
    "l": [1, 2],
    "m": "y",
    "n": 3,
    "o": dt.time(12),
    "p": 5,
    "q": None,
    "r": 1.5,
    "s": True,
    "t": "x",
}


def test_every_kind_of_parameter():
    assert bind(every, QUERY) == VALUES


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [("o=06:00", "o", dt.time(6)), ("p=7", "p", 7), ("q=7", "q", "7"), ("r=7", "r", 7.0), ("s=0", "s", False)],
)
def test_a_default_gives_way_to_the_query_and_types_what_has_no_annotation(query, name, value):
    bound = bind(every, f"{QUERY}&{query}")[name]
    assert bound == value
    assert type(bound) is type(value)


def test_the_error_names_every_parameter_that_does_not_fit():
    with pytest.raises(ParameterError) as raised:
        bind(every, QUERY.replace("b=1&", "b=one&").replace("&j=x", "&j=z").replace("a=x&", ""))
    assert str(raised.value).split("\n") == [
        "query parameter 'a' is required",
        "query parameter 'b': 'one' is not an integer",
        "query parameter 'j': 'z' is not one of 'x', 'y'",
    ]


def test_the_error_does_not_repeat_what_may_be_a_secret(settings):
    async def handler(
        ws: WebSocket,
        token: UUID,
        key: Annotated[int, Gt(0)],
        t: Annotated[UUID, Query(alias="access_token[]")],
        sid: list[int],
        page: int,
    ): ...

    query = "token=secret&key=-5&access_token[]=secret&sid=1&sid=secret&page=x"
    with pytest.raises(ParameterError) as raised:
        bind(handler, query)
    assert str(raised.value).split("\n") == [
        "query parameter 'token': what was given is not a UUID",
        "query parameter 'key': what was given is not an integer greater than 0",
        "query parameter 'access_token[]': what was given is not a UUID",
        "query parameter 'sid': what was given is not an integer",
        "query parameter 'page': 'x' is not an integer",
    ]
    settings.FASTWS_LOG_MASKED_PARAMETERS = ["page"]
    with pytest.raises(ParameterError) as raised:
        bind(handler, query)
    assert "'token': 'secret'" in str(raised.value)
    assert "'page': what was given" in str(raised.value)


def test_parameters_that_the_handler_does_not_take_are_ignored():
    async def handler(ws, a: int): ...

    assert bind(handler, "a=1&utm_source=x&ws=5") == {"a": 1}


def test_a_path_parameter_wins_over_the_query():
    async def handler(ws, room: str): ...

    assert bind(handler, "room=query", {"room": "path"}) == {"room": "path"}


def test_a_path_parameter_is_converted_by_the_annotation():
    async def handler(ws, day: dt.date, color: Color, pk: int): ...

    bound = bind(handler, path={"day": "2024-12-31", "color": "red", "pk": 5})
    assert bound == {"day": dt.date(2024, 12, 31), "color": Color.RED, "pk": 5}


def test_errors_of_path_and_query_are_told_together():
    async def handler(ws, day: dt.date, page: int): ...

    with pytest.raises(ParameterError) as raised:
        bind(handler, "page=x", {"day": "today"})
    assert "path parameter 'day'" in str(raised.value)
    assert "query parameter 'page'" in str(raised.value)


def test_a_path_parameter_that_the_handler_does_not_take_is_left_out():
    async def handler(ws, a: int = 1): ...

    assert bind(handler, path={"room": "lobby"}) == {"a": 1}


def test_kwargs_take_the_paths_parameters_and_nothing_of_the_query():
    async def handler(ws, page: int = 1, **kwargs): ...

    assert bind(handler, "page=2&other=x", {"room": "lobby", "pk": 5}) == {"page": 2, "room": "lobby", "pk": 5}


def test_the_query_string_itself_can_be_refused():
    async def handler(ws): ...

    with pytest.raises(QueryError, match="not UTF-8"):
        bind(handler, "%ff")
    with pytest.raises(QueryError, match="more than 2 parameters"):
        bind(handler, "a&b&c", limit=2)


def test_an_annotation_that_cannot_be_converted_is_refused_with_what_can():
    async def handler(ws, ids: dict[str, int]): ...

    with pytest.raises(RouteError) as raised:
        read_signature(handler, {})
    words = str(raised.value)
    assert "handler()" in words
    assert "parameter 'ids'" in words
    assert "list[X]" in words


def test_a_constraint_holds_and_an_alias_renames():
    async def handler(ws, ids: Annotated[list[Annotated[int, Gt(0)]], Query(alias="ids[]")]): ...

    assert bind(handler, "ids%5B%5D=1&ids[]=2&ids=x") == {"ids": [1, 2]}
    with pytest.raises(ParameterError, match=r"query parameter 'ids\[\]': '-5' is not an integer greater than 0"):
        bind(handler, "ids[]=-5")


def test_a_constraint_holds_for_what_a_converter_of_the_path_makes():
    async def handler(ws, pk: Annotated[int, Gt(0)], shop: Annotated[dict, Predicate(len)]): ...

    signature = read_signature(handler, {}, parse("/{shop:slug}/{pk:int}"))
    assert signature.bind({"pk": 1, "shop": {1: 2}}, []) == {"pk": 1, "shop": {1: 2}}
    with pytest.raises(ParameterError) as raised:
        signature.bind({"pk": 0, "shop": {}}, [])
    assert str(raised.value).count("path parameter") == 2


async def alias_as_default(ws, ids=Query(alias="ids[]")): ...  # noqa: B008


async def alias_of_the_path(ws, pk: Annotated[str, Query(alias="id")]): ...


async def two_of_one_name(ws, a: Annotated[str, Query(alias="b")], b: str): ...


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (alias_as_default, "write `ids: Annotated[str, Query(alias='ids[]')]`"),
        (alias_of_the_path, "'pk' comes from the path"),
        (two_of_one_name, "'a' and 'b' are both 'b' in the query string"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(handler, words):
    with pytest.raises(RouteError) as raised:
        read_signature(handler, {}, parse("/{pk}"))
    assert words in str(raised.value)


def test_a_wrapped_handler_is_read_through_functools_wraps():
    def logged(function):
        @functools.wraps(function)
        async def wrapper(*args, **kwargs):
            return await function(*args, **kwargs)

        return wrapper

    @logged
    async def handler(ws, page: int, color: Color = Color.RED): ...

    assert bind(handler, "page=5") == {"page": 5, "color": Color.RED}


def test_keyword_only_parameters():
    async def handler(ws, *, page: int = 1): ...

    assert bind(handler, "page=2") == {"page": 2}


def test_the_websocket_may_have_any_name_and_kind():
    async def socket(socket, a: int): ...
    async def positional(ws, /, a: int): ...
    async def star(*args, a: int): ...

    for handler in (socket, positional, star):
        assert bind(handler, "a=1") == {"a": 1}


# What may not be a handler


def a_sync_function(ws): ...


async def an_async_generator(ws):
    yield


def a_generator(ws):
    yield


async def takes_nothing(): ...


async def takes_only_keywords(*, ws): ...


async def takes_only_kwargs(**kwargs): ...


async def takes_positional_only(ws, page, /): ...


class NoConsumer:
    pass


NOT_HANDLERS = [
    (a_sync_function, "async def a_sync_function(ws, ...)", "not-async"),
    (a_generator, "async def a_generator(ws, ...)", "not-async"),
    (lambda ws: None, "async def", "not-async"),
    (print, "async def print(ws, ...)", "not-async"),
    (an_async_generator, "await ws.send(...)", "not-async"),
    (5, "async def", "not-async"),
    (None, "async def", "not-async"),
    (takes_nothing, "async def takes_nothing(ws, ...)", "route"),
    (takes_only_keywords, "takes no WebSocket", "route"),
    (takes_only_kwargs, "takes no WebSocket", "route"),
    (takes_positional_only, "parameter 'page' is positional-only", "route"),
    (NoConsumer, "no Channels consumer", "route"),
    (functools.partial(every), "an object that wraps one", "route"),
]


@pytest.mark.parametrize(
    ("handler", "words", "kind"), NOT_HANDLERS, ids=lambda value: getattr(value, "__name__", None)
)
def test_what_may_not_be_a_handler_is_refused_with_what_to_write(handler, words, kind):
    with pytest.raises(TypeError) as raised:
        read_signature(handler, {})
    assert words in str(raised.value)
    assert isinstance(raised.value, RouteError)
    assert raised.value.kind == kind


def test_a_sync_handler_is_told_how_to_call_sync_code():
    with pytest.raises(RouteError, match=r"await sync_to_async\(function\)\(\.\.\.\)"):
        read_signature(a_sync_function, {})


# Where it is


def test_a_handler_is_labelled_by_module_and_name():
    assert label_of(every) == "tests.routing.test_signatures.every"
    assert label_of(NoConsumer) == "tests.routing.test_signatures.NoConsumer"


def test_the_place_of_a_handler_has_file_and_line():
    line = every.__code__.co_firstlineno
    assert place_of(every) == f"tests.routing.test_signatures.every ({__file__}:{line})"
    assert f"({__file__}:" in place_of(NoConsumer)


def test_the_place_of_a_wrapped_handler_is_the_handlers():
    @functools.wraps(every)
    async def wrapper(*args: Any): ...

    assert place_of(wrapper) == place_of(every)


@pytest.mark.parametrize("handler", [5, print, functools.partial(every)])
def test_what_has_no_source_has_a_place_all_the_same(handler):
    assert place_of(handler)


@given(st.binary(), st.dictionaries(st.sampled_from(["a", "b", "l"]), st.one_of(st.text(), st.integers())))
def test_nothing_but_a_refusal_comes_of_arbitrary_input(query, path):
    async def handler(ws, a: int, b: dt.datetime | None = None, l: list[Decimal] = [], **rest): ...  # noqa: B006, E741

    try:
        bound = read_signature(handler, {}).bind(path, parse_query(query))
    except (ParameterError, QueryError):
        return
    assert {"a", "b", "l"} <= bound.keys()
