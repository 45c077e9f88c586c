"""Rooms that are declared: what their declaration demands of broadcasts."""

import logging
from typing import ClassVar

import pytest

from django_fastws import Event, FastWS, Room, RouteError


class Said(Event):
    text: str


class Closed(Event, name="shut"):
    by: ClassVar[str] = ""


@pytest.fixture
def tickets(routes):
    return FastWS().room("declared/{pk:int}", sends=[Said, Closed])


GOOD = [(Said(text="hi"), None), (Said(text="hi"), "said"), (Closed(), None)]
WRONG = [
    ({"text": "hi"}, None),
    ({"text": "hi"}, "said"),
    ("hi", None),
    (Said(text="hi"), "shut"),
    (Said(text="hi"), "other"),
    (b"hi", None),
    (bytearray(b"hi"), "said"),
]


@pytest.mark.parametrize(("data", "event"), GOOD)
async def test_what_the_room_sends_is_broadcast(tickets, data, event):
    await tickets(pk=5).abroadcast(data, event)
    await Room("declared/5").abroadcast(data, event)


@pytest.mark.parametrize(("data", "event"), WRONG)
async def test_anything_else_is_refused_in_tests(tickets, data, event):
    for room in (tickets(pk=5), Room("declared/5")):
        with pytest.raises(TypeError, match="declared/5"):
            await room.abroadcast(data, event)


class Unsent(Event):
    text: str


@pytest.mark.parametrize(
    ("data", "event", "remedy"),
    [
        (Unsent(text="hi"), None, "add Unsent to its sends"),
        ({"text": "hi"}, "said", r"broadcast Said\(...\), not dict"),
        ({"text": "hi"}, None, r"broadcast Said\(...\) or Closed\(...\), or add an event to its sends"),
    ],
)
async def test_the_refusal_says_what_to_do(tickets, data, event, remedy):
    with pytest.raises(TypeError, match=remedy):
        await tickets(pk=5).abroadcast(data, event)


async def test_in_production_it_is_sent_and_said_once(tickets, monkeypatch, caplog):
    from django.core import mail

    monkeypatch.delattr(mail, "outbox", raising=False)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await tickets(pk=5).abroadcast({"text": "hi"}, "said")
    assert caplog.text.count("is sent") == 1
    with pytest.raises(TypeError, match="bytes"):
        await tickets(pk=5).abroadcast(b"hi")


async def test_rooms_that_are_not_declared_take_anything(tickets):
    await Room("declared/no-number").abroadcast(b"hi")
    await Room("lobby").abroadcast({"text": "hi"}, "said")


async def test_a_room_that_says_nothing_of_what_it_sends_takes_any_json(routes):
    room = FastWS().room("silent")()
    await room.abroadcast({"a": 1}, "anything")
    await room.abroadcast(Said(text="hi"))
    for data, event in [(b"x", None), ({}, "state"), ({}, "count")]:
        with pytest.raises(TypeError):
            await room.abroadcast(data, event)


def test_a_name_of_an_event_is_still_checked_where_it_is_declared(routes):
    with pytest.raises(RouteError):
        FastWS().room("x", sends=[dict])
