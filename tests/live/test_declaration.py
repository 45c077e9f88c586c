"""FastWS.room: its options, and those that cannot be."""

from __future__ import annotations

import pytest

from django_fastws import Event, FastWS, History, Latest, RouteError
from django_fastws._core.rates import Rate
from django_fastws.limits import Limits
from django_fastws.limits.table import MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS_PER_USER

pytestmark = pytest.mark.usefixtures("routes")


class Said(Event):
    text: str


class Other(Event, name="said"): ...


@pytest.fixture
def app():
    return FastWS(prefix="/ws", tags=["desk"])


def may(ws, pk): ...


def test_a_room_is_of_its_app_and_has_what_it_was_given(app):
    room = app.room(
        "tickets/{pk:int}",
        name="ticket",
        sends=[Said],
        tags=["live"],
        login_required=True,
        permission=["desk.view_ticket", may],
        rate="5/s",
        max_connections=10,
        max_connections_per_user=2,
    )
    assert app.rooms == [room]
    assert (room.pattern, room.name, room.tags) == ("tickets/{pk:int}", "ticket", ("desk", "live"))
    assert (room.sends, room.rate) == ((Said,), Rate(5, 1, 5))
    assert (room.access.login_required, room.access.permissions) == (True, ("desk.view_ticket", may))
    assert (room.limits.get(MAX_CONNECTIONS), room.limits.get(MAX_CONNECTIONS_PER_USER)) == (10, 2)
    assert room.place.startswith(f"{__name__} (")
    assert "test_declaration.py:" in room.place


def test_without_options_a_room_has_no_limits_and_no_rules(app):
    room = app.room("lobby")
    limits: Limits = room.limits
    assert {limits.get(it) for it in (MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS_PER_USER)} == {
        None
    }
    assert (room.rate, room.sends, room.access.login_required, room.access.permissions) == (None, (), False, ())


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("lobby", "lobby"), ("tickets/{pk:int}", "tickets"), ("a/{b}/c/{d}", "a-c"), ("{a}", "{a}"), ("a-{b}", "a-")],
)
def test_the_name_of_a_room_without_one(app, pattern, name):
    assert app.room(pattern).name == name


MISTAKES = [
    ({"sends": [str]}, "sends has <class 'str'>, which is no event"),
    ({"sends": ["said"]}, "sends has 'said', which is no event"),
    ({"sends": [Event]}, "which is no event"),
    ({"sends": Said}, r"write sends=\[Said\]"),
    ({"sends": [Said, Other]}, "Said and Other, and both are called 'said'"),
    ({"tags": "live"}, r"write tags=\['live'\]"),
    ({"name": ""}, "is no name"),
    ({"rate": "fast"}, "'fast' is no rate"),
    ({"max_connections": 0}, "max_connections=0 is not"),
    ({"login_required": 1}, "login_required=1 is neither"),
    ({"permission": "nothing"}, "is no permission"),
    ({"permission": lambda ws: True}, r"is called with the parameters \(ws, pk\)"),
    ({"permission": lambda: True}, r"is called with the parameters \(ws, pk\)"),
    ({"histories": 5}, "room.. has no option 'histories'"),
    ({"history": 5}, r"room\('tickets/{pk:int}'\): history=5 is none: write history=History"),
    ({"history": False}, "history=False is none: write history=History"),
    ({"presence": 1}, r"presence=1 is neither True nor False, nor Presence\(counts_only=True\)"),
    ({"presence": None}, "presence=None is neither True nor False"),
    ({"latest": {}}, r"latest={} is none: write latest=Latest\(rate=\"5/s\"\), or None"),
    ({"latest": True}, "latest=True is none"),
    (
        {"latest": Latest(), "history": History()},
        "a keyed room keeps the newest value of each key, and has no history",
    ),
    ({"login_require": True}, "did you mean 'login_required'"),
]


@pytest.mark.parametrize(("options", "text"), MISTAKES, ids=lambda it: str(it)[:40])
def test_an_option_that_cannot_be_is_a_mistake_where_it_stands(app, options, text):
    with pytest.raises(RouteError, match=text):
        app.room("tickets/{pk:int}", **options)
    assert app.rooms == []


def test_a_permission_may_take_the_parameters_in_any_way(app):
    for check in (may, lambda ws, **params: True, lambda *args, pk: True):
        app.room(f"a{len(app.rooms)}/{{pk:int}}", permission=check)
    assert len(app.rooms) == 3


def test_a_keyed_room_says_how_it_is_keyed(app):
    assert app.room("prices/{market}", latest=Latest("5/s")).latest == Latest("5/s")
    assert app.room("lobby").latest is None


def test_what_no_room_has_yet_may_be_written_as_none(app):
    assert app.rooms == [app.room("lobby", history=None, presence=False, latest=None)]


def test_an_event_that_is_sent_twice_counts_once(app):
    assert app.room("a", sends=[Said, Said]).sends == (Said,)


def test_the_decorator_of_a_function_is_not_a_room(app):
    with pytest.raises(RouteError, match=r'write `@app.room\("..."\)|pattern="..."'):
        app.room(may)
