"""reverse_ws(): the paths of routes, by name and by handler."""

from uuid import UUID

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import NoReverseMatch, set_script_prefix

from django_fastws import FastWS
from django_fastws.routing import reverse_ws


@pytest.fixture
def handlers(routes):
    """Some routes, by the names of their handlers."""
    app, prefixed = FastWS(), FastWS(prefix="/ws/{tenant}")

    @app.websocket("/")
    async def root(ws): ...

    @app.websocket("/chat/{room}")
    async def chat(ws, room: str, page: int = 1): ...

    @app.websocket("/item/{pk:int}")
    async def item(ws, pk): ...

    @app.websocket("/thing/{pk}")
    async def thing(ws, pk: UUID): ...

    @app.websocket("/files/{rest:path}")
    async def files(ws, rest: str): ...

    @app.websocket("/tag/{tag}", name="a-tag")
    async def tag(ws, tag: "slug"): ...  # noqa: F821

    @app.websocket("/größe/{x}")
    async def unicode(ws, x): ...

    @prefixed.websocket("/end")
    async def end(ws, tenant: str): ...

    return {route.handler.__name__: route.handler for route in routes}


REVERSED = [
    ("root", (), {}, "/"),
    ("chat", (), {"room": "lobby"}, "/chat/lobby"),
    ("chat", ("lobby",), {}, "/chat/lobby"),
    ("chat", (), {"room": "größe ✓"}, "/chat/gr%C3%B6%C3%9Fe%20%E2%9C%93"),
    ("chat", (), {"room": "50%"}, "/chat/50%25"),
    ("chat", (), {"room": "a?b#c"}, "/chat/a%3Fb%23c"),
    ("item", (), {"pk": 5}, "/item/5"),
    ("item", (), {"pk": "5"}, "/item/5"),
    (
        "thing",
        (),
        {"pk": UUID("12345678-1234-5678-1234-567812345678")},
        "/thing/12345678-1234-5678-1234-567812345678",
    ),
    ("files", (), {"rest": "a/b c"}, "/files/a/b%20c"),
    ("a-tag", (), {"tag": "x-1"}, "/tag/x-1"),
    ("unicode", (), {"x": "y"}, "/gr%C3%B6%C3%9Fe/y"),
    ("end", (), {"tenant": "acme"}, "/ws/acme/end"),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "path"), REVERSED)
def test_reversing_by_name(handlers, name, args, kwargs, path):
    assert reverse_ws(name, *args, **kwargs) == path


@pytest.mark.parametrize(("name", "args", "kwargs", "path"), REVERSED)
def test_reversing_by_handler(handlers, name, args, kwargs, path):
    assert reverse_ws(handlers[{"a-tag": "tag"}.get(name, name)], *args, **kwargs) == path


def test_reversing_a_consumer_class(routes):
    class Echo(AsyncWebsocketConsumer):
        pass

    FastWS("/ws").websocket("/echo/{room}")(Echo)
    assert reverse_ws(Echo, room="x") == "/ws/echo/x"
    assert reverse_ws("Echo", room="x") == "/ws/echo/x"


def test_the_script_prefix_comes_first(handlers):
    set_script_prefix("/site")
    try:
        assert reverse_ws("chat", room="lobby") == "/site/chat/lobby"
        assert reverse_ws("root") == "/site/"
    finally:
        set_script_prefix("/")


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("chat", {}),
        ("chat", {"room": "a/b"}),
        ("chat", {"room": ""}),
        ("chat", {"room": "x", "page": 2}),
        ("chat", {"rom": "x"}),
        ("item", {"pk": "x"}),
        ("thing", {"pk": "x"}),
        ("a-tag", {"tag": "a b"}),
    ],
)
def test_what_does_not_fit_is_told_with_the_pattern(handlers, name, kwargs):
    with pytest.raises(NoReverseMatch) as raised:
        reverse_ws(name, **kwargs)
    assert repr(name) in str(raised.value)
    assert all(key in str(raised.value) for key in kwargs)


def test_an_unknown_name_is_told_with_those_that_exist(handlers):
    with pytest.raises(NoReverseMatch) as raised:
        reverse_ws("chatt", room="lobby")
    assert "'chatt'" in str(raised.value)
    assert "a-tag, chat, end, files, item, root, thing, unicode" in str(raised.value)


def test_an_unknown_handler_is_told_by_its_name(handlers):
    async def stranger(ws): ...

    with pytest.raises(NoReverseMatch, match="stranger"):
        reverse_ws(stranger)


def test_without_routes_the_error_says_so(routes):
    with pytest.raises(NoReverseMatch, match="there are: none"):
        reverse_ws("chat")


def test_a_given_name_wins_over_handlers_of_that_name(routes):
    app = FastWS()

    @app.websocket("/one")
    async def chat(ws): ...

    @app.websocket("/two", name="chat")
    async def other(ws): ...

    assert reverse_ws("chat") == "/two"
    assert reverse_ws(chat) == "/one"


def test_handlers_that_share_a_name_are_told_apart_by_themselves(routes):
    def make(path):
        async def chat(ws): ...

        return FastWS().websocket(path)(chat)

    one, two = make("/one"), make("/two")
    assert reverse_ws(one) == "/one"
    assert reverse_ws(two) == "/two"
    with pytest.raises(NoReverseMatch) as raised:
        reverse_ws("chat")
    assert "Several routes share the name 'chat'" in str(raised.value)
    assert str(raised.value).count("test_reverse.py:") == 2
    assert "name=" in str(raised.value)


def test_a_shared_name_that_fits_only_one_of_them_is_found(routes):
    def make(path):
        async def chat(ws, room: str = ""): ...

        return FastWS().websocket(path)(chat)

    make("/all")
    make("/one/{room}")
    assert reverse_ws("chat") == "/all"
    assert reverse_ws("chat", room="x") == "/one/x"


def test_a_handler_on_two_paths_is_found_by_what_fits(routes):
    app = FastWS()

    @app.websocket("/chat")
    @app.websocket("/chat/{room}")
    async def chat(ws, room: str = "lobby"): ...

    assert reverse_ws(chat) == "/chat"
    assert reverse_ws(chat, room="x") == "/chat/x"


def test_a_route_added_later_is_found(routes):
    app = FastWS()
    with pytest.raises(NoReverseMatch):
        reverse_ws("late")

    @app.websocket("/late")
    async def late(ws): ...

    assert reverse_ws("late") == "/late"


async def test_the_reversed_path_is_the_one_that_is_served(routes):
    from django_fastws.testing import connect

    app = FastWS(prefix="/ws")

    @app.websocket("/chat/{room}")
    async def chat(ws, room: str):
        await ws.accept()
        await ws.send(room)

    for room in ("lobby", "größe ✓", "50%", "a?b#c", "+&=;"):
        async with connect(reverse_ws(chat, room=room)) as ws:
            assert await ws.receive_text() == room


def test_a_parameter_may_be_called_viewname(routes):
    app = FastWS()

    @app.websocket("/view/{viewname}")
    async def view(ws, viewname: str): ...

    assert reverse_ws("view", viewname="x") == "/view/x"
