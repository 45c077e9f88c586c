"""From a URL to a handler: paths, converters, query parameters, and what is denied before the handshake."""

import datetime as dt
import enum
import logging
import time
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import pytest
from channels.routing import URLRouter
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django.urls import path
from django.urls.converters import REGISTERED_CONVERTERS, get_converters, register_converter

from django_fastws import FastWS, WebSocket
from django_fastws.routing import WebSocketRouter, reverse_ws, websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from tests.routing.served import echo_room
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.ids import shown

pytestmark = pytest.mark.usefixtures("routes")


class Color(enum.Enum):
    RED = "red"


async def arguments(url, application=None):
    """What the handler on a URL was called with: it sends that as a repr."""
    async with connect(url, application=application) as ws:
        return await ws.receive_text()


async def denial(url, application=None):
    """The status and the text that a URL is denied with."""
    with pytest.raises(HandshakeDenied) as raised:
        async with connect(url, application=application):
            pass
    return raised.value.status, raised.value.text


def serve(url, handler=echo_room, **kwargs):
    app = FastWS(**kwargs)
    app.websocket(url)(handler)
    return app


# Paths


@pytest.mark.parametrize(
    ("route", "url", "room"),
    [
        ("/chat/{room}", "/chat/lobby", "lobby"),
        ("/chat/{room}", "/chat/gr%C3%B6%C3%9Fe", "größe"),
        ("/chat/{room}", "/chat/größe", "größe"),
        ("/chat/{room}", "/chat/a%20b", "a b"),
        ("/chat/{room}", "/chat/5", "5"),
        ("chat/{room}", "/chat/lobby", "lobby"),
        ("/chat/<room>", "/chat/lobby", "lobby"),
        ("/chat/<str:room>", "/chat/lobby", "lobby"),
        ("/chat/{room:int}", "/chat/5", 5),
        ("/chat/<int:room>", "/chat/5", 5),
        ("/chat/{room:slug}", "/chat/a-b_c", "a-b_c"),
        ("/chat/{room:path}", "/chat/a/b/c", "a/b/c"),
        ("/{room}", "/x", "x"),
        ("/{room}/", "/x/", "x"),
        ("/größe/{room}", "/gr%C3%B6%C3%9Fe/x", "x"),
        ("/a.b/{room}", "/a.b/x", "x"),
        ("/$^*()[]+|/{room}", "/$^*()[]+|/x", "x"),
    ],
)
async def test_a_path_leads_to_its_handler(route, url, room):
    serve(route)
    assert await arguments(url) == repr(room)


@pytest.mark.parametrize(
    ("route", "url"),
    [
        ("/chat/{room}", "/chat/"),
        ("/chat/{room}", "/chat"),
        ("/chat/{room}", "/chat/a/b"),
        ("/chat/{room}", "/chat/a/"),
        ("/chat/{room}/", "/chat/a"),
        ("/chat/{room}", "/x/chat/a"),
        ("/chat/{room:int}", "/chat/x"),
        ("/chat/{room:int}", "/chat/-5"),
        ("/chat/{room:slug}", "/chat/a b"),
        ("/chat/{room:uuid}", "/chat/5"),
        ("/a.b/{room}", "/axb/x"),
        ("/chat/{room}", "/CHAT/a"),
    ],
)
async def test_a_path_that_does_not_match_is_not_found(route, url):
    serve(route)
    assert await denial(url) == (404, "Not Found")


async def test_an_unknown_path_is_no_traceback(caplog):
    serve("/chat/{room}")
    with caplog.at_level(logging.DEBUG):
        assert (await denial("/.env"))[0] == 404
    assert all(record.exc_info is None and record.levelno < logging.WARNING for record in caplog.records)


async def test_without_any_route_every_path_is_unknown():
    assert await denial("/") == (404, "Not Found")


@pytest.mark.parametrize(
    ("annotation", "good", "value", "bad", "status"),
    [
        (int, "5", 5, "x", 404),
        (str, "5", "5", "a/b", 404),
        (UUID, str(UUID(int=5)), UUID(int=5), "5", 404),
        ("slug", "a-b", "a-b", "a b", 404),
        ("path", "a/b", "a/b", None, None),
        (Annotated[str, "slug"], "a-b", "a-b", "a b", 404),
        (float, "1.5", 1.5, "x", 400),
        (Decimal, "1.50", Decimal("1.50"), "x", 400),
        (bool, "true", True, "x", 400),
        (dt.date, "2024-12-31", dt.date(2024, 12, 31), "x", 400),
        (Color, "red", Color.RED, "blue", 400),
        (Literal["a", "b"], "a", "a", "c", 400),
        (int | None, "5", 5, "x", 400),
        (int | str, "x", "x", None, None),
    ],
    ids=shown,
)
async def test_the_annotation_picks_the_converter_of_a_path(annotation, good, value, bad, status):
    async def show(ws, pk):
        await ws.accept()
        await ws.send(repr(pk))

    show.__annotations__["pk"] = annotation
    serve("/{pk}", show)
    assert await arguments(f"/{good}") == repr(value)
    if bad is not None:
        denied, text = await denial(f"/{bad}")
        assert denied == status
        assert status == 404 or "path parameter 'pk'" in text


async def test_a_converter_in_the_path_wins_over_the_annotation():
    async def show(ws, pk: str):
        await ws.accept()
        await ws.send(repr(pk))

    serve("/{pk:int}", show)
    assert await arguments("/5") == "5"


class Point:
    def __init__(self, text):
        self.x, self.y = map(int, text.split(","))

    def __repr__(self):
        return f"Point({self.x}, {self.y})"


class PointConverter:
    regex = r"[0-9]+,[0-9]+"
    to_python = staticmethod(Point)

    def to_url(self, value):
        return f"{value.x},{value.y}"


class EvenConverter:
    regex = "[0-9]+"

    def to_python(self, text):
        if int(text) % 2:
            raise ValueError
        return int(text)

    to_url = staticmethod(str)


@pytest.fixture
def converters():
    """Two path converters of a project's own."""
    register_converter(PointConverter, "point")
    register_converter(EvenConverter, "even")
    yield
    for name in ("point", "even"):
        del REGISTERED_CONVERTERS[name]
    get_converters.cache_clear()


@pytest.mark.parametrize("route", ["/{room:point}", "/<point:room>"])
async def test_a_converter_of_the_projects_own(converters, route):
    serve(route)
    assert await arguments("/1,2") == "Point(1, 2)"
    assert await denial("/1") == (404, "Not Found")


async def test_a_converter_that_refuses_a_value(converters):
    serve("/{room:even}")
    assert await arguments("/2") == "2"
    assert await denial("/3") == (404, "Not Found")


async def test_a_converter_of_the_projects_own_with_its_type_as_annotation(converters):
    async def show(ws, p: Point):
        await ws.accept()
        await ws.send(repr(p))

    serve("/{p:point}", show)
    assert await arguments("/1,2") == "Point(1, 2)"


@pytest.mark.parametrize(
    ("prefix", "route", "url"),
    [
        ("", "/chat", "/chat"),
        ("/ws", "/chat", "/ws/chat"),
        ("/ws/", "/chat", "/ws/chat"),
        ("ws", "chat", "/ws/chat"),
        ("/ws", "", "/ws"),
        ("/ws", "/", "/ws/"),
        ("/", "/", "/"),
        ("", "", "/"),
        ("/a/b", "/c/d/", "/a/b/c/d/"),
    ],
)
async def test_the_prefix_goes_before_the_path(prefix, route, url):
    async def hello(ws):
        await ws.accept()
        await ws.send("hello")

    serve(route, hello, prefix=prefix)
    assert await arguments(url) == "hello"


async def test_a_prefix_with_a_parameter():
    async def show(ws, tenant: int, room: str):
        await ws.accept()
        await ws.send(f"{tenant!r} {room!r}")

    serve("/{room}", show, prefix="/{tenant}/ws")
    assert await arguments("/5/ws/x") == "5 'x'"


async def test_routes_are_tried_in_the_order_of_declaration():
    async def named(ws):
        await ws.accept()
        await ws.send("lobby itself")

    app = FastWS()
    app.websocket("/chat/lobby")(named)
    app.websocket("/chat/{room}")(echo_room)
    assert await arguments("/chat/lobby") == "lobby itself"
    assert await arguments("/chat/other") == "'other'"


async def test_path_params_are_converted_too():
    async def show(ws, color: Color, pk: int):
        await ws.accept()
        await ws.send(repr(ws.path_params))

    serve("/{color}/{pk}", show)
    assert await arguments("/red/5") == repr({"color": Color.RED, "pk": 5})


async def test_kwargs_get_the_parameters_that_the_handler_does_not_name():
    async def show(ws, **kwargs):
        await ws.accept()
        await ws.send(repr(kwargs))

    serve("/{room}/{pk:int}", show)
    assert await arguments("/x/5?page=2") == "{'room': 'x', 'pk': 5}"


@pytest.mark.parametrize(
    ("root_path", "url", "found"),
    [
        ("", "/chat/x", True),
        ("/site", "/site/chat/x", True),
        ("/site", "/chat/x", True),
        ("/site", "/site/x", False),
        ("/site", "/sitechat/x", False),
    ],
)
async def test_a_root_path_is_no_part_of_the_path_whether_the_proxy_strips_it_or_not(root_path, url, found):
    serve("/chat/{room}")
    router = WebSocketRouter()

    async def behind_a_proxy(scope, receive, send):
        await router({**scope, "root_path": root_path}, receive, send)

    if found:
        assert await arguments(url, behind_a_proxy) == "'x'"
    else:
        assert (await denial(url, behind_a_proxy))[0] == 404


async def test_a_route_that_is_added_later_is_served():
    serve("/chat/{room}")
    router = WebSocketRouter()
    assert (await denial("/late/x", router))[0] == 404
    serve("/late/{room}")
    assert await arguments("/late/x", router) == "'x'"


def echo(text):
    async def handler(ws, **params):
        await ws.accept()
        await ws.send(text)

    return handler


def repeated_path():
    serve("/chat/{other}", echo("late"))


def repeated_name():
    FastWS().websocket("/late", name="chat")(echo("late"))


def parameter_not_taken():
    @FastWS().websocket("/late/{pk}")
    async def late(ws): ...


def a_whole_module_again():
    FastWS().websocket("/chat/{room}", name="chat")(echo("late"))


@pytest.mark.parametrize("late", [repeated_path, repeated_name, parameter_not_taken, a_whole_module_again])
async def test_a_module_that_comes_late_and_repeats_something_ends_nothing_that_was_served(late, caplog):
    FastWS().websocket("/chat/{room}", name="chat")(echo("first"))
    router = WebSocketRouter()
    late()
    serve("/new/{room}", echo("new"))
    for _ in range(3):
        assert await arguments("/chat/x", router) == "first"
        assert await arguments("/new/x", router) == "new"
    assert reverse_ws("chat", room="x") == "/chat/x"
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors
    assert len(set(errors)) == len(errors)
    assert all("still are" in error and "test_router" in error for error in errors)
    with pytest.raises(ImproperlyConfigured):
        WebSocketRouter()  # a process that starts with it is told


async def test_of_two_that_come_late_with_one_path_the_first_is_served():
    router = WebSocketRouter()
    serve("/late", echo("one"))
    serve("/late", echo("two"))
    assert await arguments("/late", router) == "one"


# Query parameters


async def show_query(
    ws: WebSocket,
    room: str,
    username: str = "Anonymous",
    page: int = 1,
    tag: list[str] | None = None,
    since: dt.datetime | None = None,
):
    await ws.accept()
    await ws.send(repr((room, username, page, tag, since)))


@pytest.mark.parametrize(
    ("query", "result"),
    [
        ("", ("x", "Anonymous", 1, None, None)),
        ("?username=ada", ("x", "ada", 1, None, None)),
        ("?username=Gr%C3%B6%C3%9Fe+%E2%9C%93", ("x", "Größe ✓", 1, None, None)),
        ("?username=größe", ("x", "größe", 1, None, None)),
        ("?username=", ("x", "", 1, None, None)),
        ("?page=5&page=7", ("x", "Anonymous", 7, None, None)),
        ("?tag=a&tag=b", ("x", "Anonymous", 1, ["a", "b"], None)),
        ("?room=other", ("x", "Anonymous", 1, None, None)),
        ("?unknown=1&&", ("x", "Anonymous", 1, None, None)),
        ("?since=2024-12-31T10:00:00Z", ("x", "Anonymous", 1, None, dt.datetime(2024, 12, 31, 10, tzinfo=dt.UTC))),
    ],
)
async def test_query_parameters_are_the_handlers_arguments(query, result):
    serve("/{room}", show_query)
    assert await arguments(f"/x{query}") == repr(result)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?page=x", "query parameter 'page': 'x' is not an integer"),
        ("?page=", "query parameter 'page': '' is not an integer"),
        ("?since=now", "query parameter 'since': 'now' is not a date and time such as 2024-12-31T23:59:59+00:00"),
        ("?username=%ff", "query parameter number 1 is not UTF-8"),
        ("?" + "&".join(["a"] * 1001), "the query string has more than 1000 parameters"),
    ],
)
async def test_what_does_not_fit_is_denied_with_400_and_named(query, text):
    serve("/{room}", show_query)
    assert await denial(f"/x{query}") == (400, text)


async def test_everything_that_does_not_fit_is_named_at_once():
    async def handler(ws, page: int, color: Color): ...

    serve("/x", handler)
    status, text = await denial("/x?color=blue")
    assert status == 400
    assert "query parameter 'page' is required" in text
    assert "query parameter 'color': 'blue' is not one of 'red'" in text


async def test_the_handler_does_not_run_when_something_does_not_fit():
    ran = []

    async def handler(ws, page: int):
        ran.append(page)

    serve("/x", handler)
    assert (await denial("/x"))[0] == 400
    assert ran == []


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=2)
async def test_djangos_own_limit_of_parameters_counts():
    serve("/{room}")
    assert await arguments("/x?a&b") == "'x'"
    assert (await denial("/x?a&b&c"))[0] == 400


@override_settings(DATA_UPLOAD_MAX_NUMBER_FIELDS=None)
async def test_djangos_limit_of_parameters_can_be_lifted():
    serve("/{room}")
    assert await arguments("/x?" + "&".join(["a"] * 2000)) == "'x'"


async def test_a_denial_without_the_denial_extension_is_a_plain_close():
    serve("/{room}", show_query)
    router = WebSocketRouter()

    async def old_server(scope, receive, send):
        await router({**scope, "extensions": {}}, receive, send)

    assert (await denial("/x?page=x", old_server))[0] == 403
    assert (await denial("/no/such/path", old_server))[0] == 403


async def test_patterns_serve_within_a_url_router_by_hand():
    serve("/{room}", prefix="/ws")
    assert await arguments("/ws/x", URLRouter(websocket_urlpatterns())) == "'x'"


async def test_patterns_serve_within_nested_url_routers():
    serve("/{room}")
    router = URLRouter([path("outer/", URLRouter(websocket_urlpatterns()))])
    assert await arguments("/outer/x", router) == "'x'"


async def test_a_handler_mounted_by_hand_takes_its_parameters_from_there():
    async def chat(ws, room: str, pk: int, page: int = 1):
        await ws.accept()
        await ws.send(repr((room, pk, page)))

    FastWS().websocket("/elsewhere/{room}/{pk}")(chat)
    router = URLRouter([path("by/hand/<room>/<int:pk>", chat.as_asgi())])
    assert await arguments("/by/hand/x/5?page=2", router) == "('x', 5, 2)"


async def test_a_handler_mounted_by_hand_without_its_parameter_reads_it_from_the_query():
    FastWS().websocket("/elsewhere/{room}")(echo_room)
    router = URLRouter([path("by/hand", echo_room.as_asgi())])
    assert await arguments("/by/hand?room=x", router) == "'x'"
    assert await denial("/by/hand", router) == (400, "query parameter 'room' is required")


@pytest.mark.parametrize("prefix", ["", "/{ws}"])
def test_a_path_parameter_named_like_the_socket_is_refused(prefix):
    async def named(ws): ...
    async def in_kwargs(ws, **kwargs): ...

    for handler in (named, in_kwargs):
        with pytest.raises(TypeError, match="'ws', which is the WebSocket's name"):
            serve("/chat" if prefix else "/chat/{ws}", handler, prefix=prefix)


async def test_a_socket_that_is_positional_only_has_no_name():
    async def show(ws, /, **kwargs):
        await ws.accept()
        await ws.send(repr(kwargs))

    serve("/{ws}", show)
    assert await arguments("/x") == "{'ws': 'x'}"


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/{a}-{b}", "-" * 8_000 + "/"), ("/{a}-{b}-{c}", "-" * 8_000 + "/"), ("/{a:path}/{b:path}/x", "/" * 8_000)],
)
async def test_a_path_that_could_be_read_in_thousands_of_ways_is_none(path, asked):
    @FastWS().websocket(path)
    async def handler(ws: WebSocket, a: str, b: str, c: str = "") -> None: ...

    began = time.thread_time()
    status, _ = await denial(f"/{asked}", WebSocketRouter())
    assert status == 404
    assert time.thread_time() - began < 1  # trying them all takes up to minutes
    (pattern,) = websocket_urlpatterns()  # for Channels' router
    assert pattern.resolve(asked) is None
    assert pattern.resolve("one-two-three" if "-" in path else "one/two/x") is not None
