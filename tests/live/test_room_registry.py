"""The room that a name belongs to."""

from __future__ import annotations

from django_fastws import FastWS
from django_fastws.live import find, live_rooms


def test_a_name_is_found_in_the_rooms_of_every_app(routes):
    one, two = FastWS(), FastWS()
    lobby, tickets, files = one.room("lobby"), two.room("tickets/{pk:int}"), two.room("files/{name:path}")
    assert live_rooms() == [lobby, tickets, files]
    assert find("lobby") == (lobby, {})
    assert find("tickets/5") == (tickets, {"pk": 5})
    assert find("files/a/b") == (files, {"name": "a/b"})
    assert [find(name) for name in ("", "tickets/x", "lobby/", "{name}")] == [None] * 4


def test_a_room_that_is_declared_later_is_found(routes):
    app = FastWS()
    assert find("lobby") is None
    lobby = app.room("lobby")
    assert find("lobby") == (lobby, {})


def test_of_two_that_match_the_one_without_parameters_and_then_the_first_is_found(routes):
    app = FastWS()
    any_, number, new = app.room("t/{slug}"), app.room("t/{pk:int}"), app.room("t/new")
    again = app.room("t/new")
    assert again is not new
    assert find("t/new") == (new, {})
    assert find("t/5") == (any_, {"slug": "5"})
    assert number.match("t/5") == {"pk": 5}


def test_parameters_are_made_anew_for_each_who_asks(routes):
    FastWS().room("t/{slug}")
    _, params = find("t/x")
    params["slug"] = "changed"
    assert find("t/x")[1] == {"slug": "x"}
