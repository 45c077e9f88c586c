"""Events from outside: which a live room takes, as what."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import field_validator

from django_fastws import Event, LiveError, RouteError
from django_fastws.live import RESERVED, published_event
from tests.live.client import declare

pytestmark = pytest.mark.usefixtures("routes")


class Said(Event):
    text: str
    at: dt.date | None = None
    size: int = 0


class Placed(Event, name="order_placed"):
    model_config = {"strict": True}

    day: dt.date


class Failing(Event):
    x: Any

    @field_validator("x")
    @classmethod
    def fail(cls, value):
        raise KeyError("on purpose")


def refused(*args):
    with pytest.raises(LiveError) as raised:
        published_event(*args)
    assert raised.value.code == "invalid"
    return raised.value.message


@pytest.mark.parametrize("event", [None, "said", "state", "size"])
def test_a_room_that_is_not_declared_takes_anything(event):
    data = {"a": [1]}
    assert published_event("undeclared", event, data) is data


@pytest.mark.parametrize("event", [None, "said", "größe"])
def test_a_room_that_says_nothing_of_its_events_takes_any_but_what_clients_mean_otherwise(event):
    declare()
    data = {"a": [1]}
    assert published_event("room/5", event, data) is data
    for name in RESERVED:
        assert refused("room/5", name, data).startswith(f"event: {name!r} means something else to clients")


def test_a_room_with_sends_takes_these_as_what_they_are():
    declare(sends=[Said, Placed])
    said = published_event("room/5", "said", {"text": "hi", "at": "2026-01-31", "more": 1})
    assert (type(said), said) == (Said, Said(text="hi", at=dt.date(2026, 1, 31)))
    # JSON has no dates: strict is what they are in JSON.
    assert published_event("room/5", "order_placed", {"day": "2026-01-31"}) == Placed(day=dt.date(2026, 1, 31))


WRONG = [
    (None, {"text": "hi"}, "event: 'message' is none of the room, which has order_placed, said"),
    ("Said", {"text": "hi"}, "event: 'Said' is none of the room"),
    ("x" * 1000, {"text": "hi"}, "event: 'xxx"),
    ("state", {"text": "hi"}, "event: 'state' means something else"),
    ("said", {}, "data: text: Field required"),
    ("said", {"text": 5}, "data: text: Input should be a valid string"),
    ("said", {"text": "hi", "size": "big"}, "data: size: Input should be a valid integer"),
    ("said", None, "data: Input should be"),
    ("said", "hi", "data: Input should be"),
    ("said", ["hi"], "data: Input should be"),
    ("order_placed", {"day": 5}, "data: day: "),
    ("said", {"x" * 1025: "y" * 16384}, "data: a key in a message of over 16384 bytes"),
]


@pytest.mark.parametrize(("event", "data", "words"), WRONG, ids=[str(place) for place in range(len(WRONG))])
def test_what_does_not_fit_is_refused_whatever_debug_says(event, data, words, settings):
    declare(sends=[Said, Placed])
    for settings.DEBUG in (True, False):
        message = refused("room/5", event, data)
        assert message.startswith(words)
        assert len(message) < 300


def test_what_fails_otherwise_is_no_mistake_of_the_sender():
    declare(sends=[Failing])
    with pytest.raises(KeyError, match="on purpose"):
        published_event("room/5", "failing", {"x": 1})


def test_an_event_cannot_be_declared_by_a_name_that_is_refused():
    with pytest.raises(RouteError):

        class Wrong(Event, name="state"): ...
