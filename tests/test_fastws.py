"""FastWS: what the decorator takes, what it makes of it, and what it gives back."""

import functools
import inspect

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer

from django_fastws import FastWS, RouteError, WebSocket
from django_fastws.routing.outbound_options import SOCKET_OPTIONS, RequestOptions, request_options
from django_fastws.testing import connect
from tests.support.ids import shown

pytestmark = pytest.mark.usefixtures("routes")


async def handler(ws): ...


async def with_room(ws, room: str): ...


def routed(path, function=handler, *, prefix="", **kwargs):
    app = FastWS(prefix=prefix)
    app.websocket(path, **kwargs)(function)
    return app.routes[-1]


def test_the_handler_is_given_back_as_it_is(routes):
    app = FastWS()

    async def chat(ws, room: str, username: str = "Anonymous"):
        """Says what it does."""

    decorated = app.websocket("/chat/{room}")(chat)
    assert decorated is chat
    assert inspect.iscoroutinefunction(decorated)
    assert decorated.__doc__ == "Says what it does."
    assert list(inspect.signature(decorated).parameters) == ["ws", "room", "username"]


async def test_a_decorated_handler_can_be_called_in_a_test_of_its_own():
    app = FastWS()

    @app.websocket("/double/{number}")
    async def double(ws, number: int):
        return number * 2

    assert await double(None, 4) == 8


async def test_as_asgi_is_an_application_of_the_handler():
    app = FastWS()

    @app.websocket("/hello")
    async def hello(ws: WebSocket, name: str = "you"):
        await ws.accept()
        await ws.send(f"hello {name}")

    async with connect("/anywhere?name=ada", application=hello.as_asgi()) as ws:
        assert await ws.receive_text() == "hello ada"


async def test_as_asgi_serves_nothing_but_websockets():
    routed("/x")
    with pytest.raises(ValueError, match="serves WebSockets, not 'http'"):
        await handler.as_asgi()({"type": "http"}, None, None)


def test_a_route_knows_all_about_itself():
    route = routed("/chat/{room}", with_room, prefix="/ws", name="the-chat", tags=["a"])
    assert route.path == "/ws/chat/{room}"
    assert route.django_route == "ws/chat/<str:room>"
    assert route.handler is with_room
    assert route.name == "the-chat"
    assert route.is_named
    assert route.tags == ("a",)
    assert route.direction == "in"
    assert route.handler_name == "tests.test_fastws.with_room"
    assert route.place.endswith(f"test_fastws.py:{with_room.__code__.co_firstlineno})")


def test_a_route_is_frozen():
    route = routed("/x")
    with pytest.raises(AttributeError):
        route.path = "/y"


def test_a_route_without_a_name_has_that_of_its_handler():
    route = routed("/x")
    assert (route.name, route.is_named) == ("handler", False)


@pytest.mark.parametrize(
    ("of_app", "of_route", "tags"),
    [
        ((), None, ()),
        (["chat"], None, ("chat",)),
        (["chat"], ["admin"], ("chat", "admin")),
        (("chat",), (), ("chat",)),
        (iter(["chat"]), iter(["a", "b"]), ("chat", "a", "b")),
    ],
)
def test_tags_of_the_app_come_before_those_of_the_route(of_app, of_route, tags):
    app = FastWS(tags=of_app)
    app.websocket("/x", tags=of_route)(handler)
    assert app.routes[0].tags == tags


async def test_a_socket_has_its_routes_tags():
    app = FastWS(tags=["chat"])

    @app.websocket("/x", tags=["admin"])
    async def tagged(ws):
        await ws.accept()
        await ws.send_json(list(ws.tags))

    async with connect("/x") as ws:
        assert await ws.receive_json() == ["chat", "admin"]


@pytest.mark.parametrize("tags", ["chat", "c"])
def test_tags_that_are_one_str_are_refused_with_what_to_write(tags):
    with pytest.raises(RouteError, match=rf"write tags=\['{tags}'\]"):
        FastWS(tags=tags)
    with pytest.raises(RouteError, match=rf"write tags=\['{tags}'\]"):
        FastWS().websocket("/x", tags=tags)(handler)


@pytest.mark.parametrize("prefix", ["/{tenant", "/ws?x", "/{a}/{a}", None, 5, b"/ws"])
def test_a_prefix_that_is_no_path_is_refused(prefix, routes):
    with pytest.raises(TypeError, match=r"FastWS\(prefix=\.\.\.\)"):
        FastWS(prefix=prefix)
    assert routes.apps == []


@pytest.mark.parametrize("path", [None, 5, b"/chat", ["/chat"]])
def test_a_path_that_is_no_str_is_refused(path):
    with pytest.raises(TypeError, match=f"handler: a path is a str .* not {type(path).__name__}"):
        routed(path)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/{room", "stray '{'"),
        ("/{}", "is not a parameter"),
        ("/{room}/{room}", "two parameters called 'room'"),
        ("/chat?x=1", "query parameters are parameters of the handler"),
        ("/{room:nope}", "no path converter is called 'nope'; there are int, path, slug, str, uuid"),
        ("/<room:int>", "no path converter is called 'room': write {room:int} or <int:room>"),
    ],
)
def test_a_bad_path_is_refused_at_decoration_and_names_the_handler(path, words):
    with pytest.raises(RouteError) as raised:
        routed(path, with_room)
    assert words in str(raised.value)
    assert "with_room" in str(raised.value)


def test_a_parameter_of_the_prefix_that_comes_again_in_the_path_is_refused():
    with pytest.raises(RouteError, match="two parameters called 'room'"):
        routed("/{room}", with_room, prefix="/{room}")


@pytest.mark.parametrize("name", ["", "a:b", 5, b"x", ["x"]])
def test_a_name_that_is_none_is_refused(name):
    with pytest.raises(RouteError, match="is no name"):
        routed("/x", name=name)


@pytest.mark.parametrize("name", ["chat", "chat-room", "größe", "a.b", "a b"])
def test_a_name_may_be_any_str_without_a_colon(name):
    assert routed("/x", name=name).name == name


def test_a_sync_handler_is_refused_at_decoration_with_what_to_write(routes):
    app = FastWS()
    with pytest.raises(TypeError, match=r"async def chat\(ws, \.\.\.\)"):

        @app.websocket("/chat")
        def chat(ws): ...

    assert list(routes) == []


def test_an_async_generator_is_refused_at_decoration(routes):
    app = FastWS()
    with pytest.raises(TypeError, match=r"await ws\.send"):

        @app.websocket("/chat")
        async def chat(ws):
            yield

    assert list(routes) == []


class Sockets:
    async def method(self, ws): ...

    async def __call__(self, ws): ...


def test_a_bound_method_is_a_handler_or_refused_in_words():
    try:
        route = routed("/x", Sockets().method)
    except RouteError:
        return
    assert route.name == "method"


@pytest.mark.parametrize("handler", [Sockets(), Sockets, functools.partial(handler), None, "chat"], ids=shown)
def test_what_is_neither_function_nor_consumer_is_refused(handler):
    with pytest.raises(RouteError):
        routed("/x", handler)


def test_one_handler_on_two_paths(routes):
    app = FastWS()

    @app.websocket("/a")
    @app.websocket("/b")
    async def both(ws): ...

    assert [(route.path, route.handler) for route in routes] == [("/b", both), ("/a", both)]


def test_types_local_to_the_function_that_decorates():
    from enum import StrEnum

    class Mood(StrEnum):
        GOOD = "good"

    app = FastWS()

    @app.websocket("/x")
    async def moody(ws, mood: "Mood"): ...

    assert app.routes[0].signature.bind({}, [("mood", "good")]) == {"mood": Mood.GOOD}


def test_instances_are_registered_in_the_order_they_are_made(routes):
    one, two = FastWS("/one"), FastWS("/two")
    two.websocket("/b")(handler)
    one.websocket("/a")(handler)
    assert [route.path for route in routes] == ["/one/a", "/two/b"]
    assert routes.apps == [one, two]


def test_the_registry_changes_with_every_route(routes):
    versions = [routes.version]
    app = FastWS()
    versions.append(routes.version)
    app.websocket("/a")(handler)
    versions.append(routes.version)
    assert versions == sorted(set(versions))


def test_an_app_shows_what_it_is():
    assert repr(FastWS("/ws", tags=["chat"])) == "FastWS(prefix='/ws', tags=['chat'])"


def test_a_consumer_class_is_given_back_as_it_is():
    class Echo(AsyncWebsocketConsumer):
        pass

    app = FastWS()
    assert app.websocket("/echo")(Echo) is Echo
    assert app.routes[0].signature is None
    assert app.routes[0].name == "Echo"


def test_what_a_consumers_as_asgi_returned_can_be_routed():
    class Echo(AsyncWebsocketConsumer):
        pass

    application = Echo.as_asgi(groups=["x"])
    route = routed("/echo", application)
    assert route.application.__wrapped__ is application


#: What FastWS.ws takes besides the options that go to the library.
OWN = {
    "self",
    "url",
    "reconnect",
    "max_retries",
    "retry_on_error",
    "restart_on_end",
    "retry_on_status",
    "tags",
    "name",
    "lease",
}


def test_every_option_of_an_outbound_route_is_kept():
    assert set(inspect.signature(FastWS.ws).parameters) == {*SOCKET_OPTIONS, *OWN}
    assert set(RequestOptions.__annotations__) == {*request_options({}), "tags", "name"}
