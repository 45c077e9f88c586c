"""Event: its name."""

from __future__ import annotations

from typing import Generic, TypeVar

import pytest

from django_fastws import Event, RouteError
from django_fastws.live.event import RESERVED, is_event, snake_case

T = TypeVar("T")


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("Said", "said"),
        ("TicketClosed", "ticket_closed"),
        ("HTTPError", "http_error"),
        ("LastHTTPError2", "last_http_error2"),
        ("already_so", "already_so"),
        ("X", "x"),
    ],
)
def test_the_name_of_a_class_in_snake_case(name, snake):
    assert snake_case(name) == snake


def test_an_event_is_called_as_its_class_or_as_it_says():
    class TicketClosed(Event): ...

    class Reopened(TicketClosed): ...

    class Said(Event, name="said to all"): ...

    names = [event.__fastws_event__ for event in (TicketClosed, Reopened, Said)]
    assert names == ["ticket_closed", "reopened", "said to all"]


def test_a_generic_event_has_one_name_with_all_its_types():
    class Changed(Event, Generic[T], name="change"):
        value: T

    assert Changed[int].__fastws_event__ == Changed[str].__fastws_event__ == "change"


def test_options_of_the_model_beside_the_name():
    class Said(Event, name="x", extra="forbid"):
        text: str

    assert Said.model_config["extra"] == "forbid"
    assert Said.__fastws_event__ == "x"


@pytest.mark.parametrize("name", [*sorted(RESERVED), "", "a" * 65, "a\nb", 7])
def test_a_name_that_cannot_be_is_a_mistake_where_the_class_stands(name):
    with pytest.raises(RouteError, match=r'write `class Said\(Event, name="..."\)`|is no name of an event'):

        class Said(Event, name=name): ...


def test_a_class_whose_name_is_reserved_may_have_another():
    with pytest.raises(RouteError, match="'status' means something else to the client"):

        class Status(Event): ...

    class State(Event, name="new_state"): ...

    assert State.__fastws_event__ == "new_state"


@pytest.mark.parametrize(("value", "is_one"), [(Event, False), (str, False), (None, False), ("said", False)])
def test_what_is_an_event(value, is_one):
    class Said(Event): ...

    assert is_event(Said)
    assert is_event(value) == is_one
