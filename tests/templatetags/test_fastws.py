"""{% room_position %}: of which room it is, what it says of mistakes, and where it can stand."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser

import pytest
from asgiref.sync import sync_to_async
from django.template import Context, Template, TemplateSyntaxError

from django_fastws import FastWS, History, Room, WebSocketConnectionError
from django_fastws.layer import get_broker
from django_fastws.rooms.page_position import _asking
from django_fastws.testing import live
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.site.client import token


@pytest.fixture(autouse=True)
def only_these_rooms(routes, monkeypatch):
    monkeypatch.setattr("django.setup", lambda **kwargs: None)


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    is_here = request.param == "here"
    settings.CHANNEL_LAYERS = {} if is_here else {"default": request.getfixturevalue("redis_layer")}


@pytest.fixture
def tickets():
    return FastWS().room("tickets/{slug}/{pk:int}", history=History())


def rendered(text, **context):
    return Template("{% load fastws %}" + text).render(Context(context))


class Attributes(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = {}
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.update(attrs)


def test_a_room_of_the_context_with_its_parameters(tickets):
    slug = token()
    assert rendered("{% room_position tickets slug=slug pk=5 %}", tickets=tickets, slug=slug).endswith(":0")
    position = tickets(slug=slug, pk=5).broadcast("x")
    assert rendered("{% room_position tickets slug=slug pk=5 %}", tickets=tickets, slug=slug) == str(position)


def test_a_room_and_a_name(tickets):
    name = f"tickets/{token()}/5"
    at = str(Room(name).broadcast("x"))
    assert rendered("{% room_position room %}", room=Room(name)) == at
    assert rendered("{% room_position name %}", name=name) == at
    assert rendered('{% room_position "' + name + '" %}') == at
    assert rendered("{% room_position name as at %}[{{ at }}]", name=name) == f"[{at}]"


def test_it_is_safe_in_an_attribute_whatever_the_name_has(tickets):
    name = 'tickets/"><script>/5'
    text = rendered('<p data-room="{{ name }}" data-since="{% room_position name %}">', name=name)
    assert Attributes(text).found == {"data-room": name, "data-since": str(Room(name).position())}


async def test_a_page_that_shows_a_position_goes_on_from_it(tickets):
    name = f"tickets/{token()}/5"
    await Room(name).abroadcast("shown", "said")
    since = await sync_to_async(rendered)("{% room_position name %}", name=name)
    await Room(name).abroadcast("missed", "said")
    async with live() as client:
        room = await client.join(name, since=since)
        assert room.recovered
        assert (await room.next("said")).data == "missed"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% room_position nothing pk=5 %}", "pk are parameters of a live room, and '' is none"),
        ("{% room_position nothing %}", "'' is no room; write .* Is the variable in the context"),
        ("{% room_position 5 %}", "5 is no room"),
        ("{% room_position tickets pk=5 %}", "slug"),
        ("{% room_position tickets %}", "slug"),
        ('{% room_position tickets slug="a" pk="x" %}', "pk"),
        ('{% room_position tickets slug="a" pk=1 more=2 %}', "more"),
        ('{% room_position "tickets/a/1" pk=1 %}', "have the room in the context"),
        ('{% room_position "plain" %}', "'plain' has no history: declare it"),
        ('{% room_position "elsewhere" %}', "'elsewhere' has no history: declare it"),
        ("{% room_position %}", "room"),
    ],
)
def test_mistakes_say_what_to_write(tickets, text, said):
    FastWS().room("plain")
    with pytest.raises(TemplateSyntaxError, match=f"room_position.*{said}"):
        rendered(text, tickets=tickets)


async def test_in_the_thread_of_an_event_loop_it_says_what_to_do_instead(tickets):
    name = f"tickets/{token()}/5"
    with pytest.raises(TemplateSyntaxError, match=r"put `await room\.aposition\(\)` into the context"):
        rendered("{% room_position name %}", name=name)
    at = await Room(name).aposition()
    assert rendered("{{ at }}", at=at) == str(at)
    assert await asyncio.to_thread(rendered, "{% room_position name %}", name=name) == str(at)


def test_a_page_is_rendered_while_the_layer_is_away(tickets, monkeypatch, caplog):
    def read_history(*args, **kwargs):
        raise WebSocketConnectionError("on purpose")

    monkeypatch.setattr(type(get_broker()), "read_history", read_history)
    try:
        assert rendered('<p data-since="{% room_position "tickets/a/1" %}">') == '<p data-since="">'
        assert rendered('{% room_position "tickets/a/1" %}') == ""
    finally:
        _asking[False].reset()
    assert [line.name for line in caplog.records] == ["django_fastws.rooms"]
