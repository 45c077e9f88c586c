"""The registry of routes: patterns, duplicates of paths and names, and all mistakes told at once."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import URLPattern

from django_fastws import FastWS
from django_fastws.routing import WebSocketRouter, websocket_urlpatterns
from tests.routing.served import echo_room

pytestmark = pytest.mark.usefixtures("routes")


def test_patterns_are_djangos_and_in_the_order_of_declaration():
    app = FastWS(prefix="/ws")
    app.websocket("/b/{room}")(echo_room)
    app.websocket("/a/{room}", name="an-a")(echo_room)
    patterns = websocket_urlpatterns()
    assert all(isinstance(pattern, URLPattern) for pattern in patterns)
    assert [(str(pattern.pattern), pattern.name) for pattern in patterns] == [
        ("ws/b/<str:room>", "echo_room"),
        ("ws/a/<str:room>", "an-a"),
    ]


def duplicated(first, second):
    async def one(ws, room="", other=""): ...
    async def two(ws, room="", other=""): ...

    FastWS().websocket(first)(one)
    FastWS().websocket(second)(two)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/chat", "/chat"),
        ("/chat", "chat"),
        ("/{room}", "/{room}"),
        ("/{room}", "/{other}"),
        ("/{room}", "/<other>"),
        ("/{room}", "/<str:other>"),
        ("/{room:int}", "/<int:other>"),
        ("/a/{room}/b/{other}", "/a/{other}/b/{room}"),
    ],
)
def test_two_handlers_on_one_path_are_refused_with_both_places(first, second):
    duplicated(first, second)
    with pytest.raises(ImproperlyConfigured) as raised:
        websocket_urlpatterns()
    words = str(raised.value)
    assert "Several handlers on one path" in words
    assert "duplicated.<locals>.one" in words
    assert "duplicated.<locals>.two" in words
    assert words.count("test_routes.py:") == 2
    with pytest.raises(ImproperlyConfigured):
        WebSocketRouter()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("/chat", "/chat/"),
        ("/{room}", "/{room:int}"),
        ("/{room}", "/lobby"),
        ("/{room}/a", "/{room}/b"),
        ("/{room:slug}", "/{room:str}"),
    ],
)
def test_paths_that_differ_are_no_duplicates(first, second):
    duplicated(first, second)
    assert len(websocket_urlpatterns()) == 2


def test_duplicates_are_found_across_prefixes_and_annotations():
    async def one(ws, pk: int): ...
    async def two(ws, number: int): ...

    FastWS("/ws/item").websocket("/{pk}")(one)
    FastWS("/ws").websocket("/item/<int:number>")(two)
    with pytest.raises(ImproperlyConfigured, match="Several handlers on one path"):
        websocket_urlpatterns()


def test_two_routes_of_one_given_name_are_refused_with_both_places():
    async def one(ws): ...
    async def two(ws): ...

    FastWS().websocket("/a", name="chat")(one)
    FastWS().websocket("/b", name="chat")(two)
    with pytest.raises(ImproperlyConfigured) as raised:
        websocket_urlpatterns()
    words = str(raised.value)
    assert "Several routes are named 'chat'" in words
    assert words.count("test_routes.py:") == 2


def test_a_given_name_may_be_the_name_of_another_function():
    async def chat(ws): ...
    async def other(ws): ...

    FastWS().websocket("/a")(chat)
    FastWS().websocket("/b", name="chat")(other)
    assert len(websocket_urlpatterns()) == 2


def test_functions_of_one_name_are_no_duplicates():
    def make(url):
        async def chat(ws): ...

        FastWS().websocket(url)(chat)

    make("/a")
    make("/b")
    assert len(websocket_urlpatterns()) == 2


def test_a_path_parameter_that_the_handler_does_not_take_is_refused():
    async def chat(ws, rom: str): ...

    FastWS().websocket("/chat/{room}")(chat)
    with pytest.raises(ImproperlyConfigured) as raised:
        websocket_urlpatterns()
    assert "does not take 'room'" in str(raised.value)
    assert "'/chat/{room}'" in str(raised.value)
    assert "test_routes.py:" in str(raised.value)


def test_all_mistakes_are_told_at_once():
    duplicated("/chat", "/chat")

    async def chat(ws): ...

    FastWS().websocket("/{room}", name="x")(chat)
    with pytest.raises(ImproperlyConfigured) as raised:
        websocket_urlpatterns()
    assert "Several handlers on one path" in str(raised.value)
    assert "does not take 'room'" in str(raised.value)
