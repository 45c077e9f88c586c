"""Patterns of room names: what they match, and what they make of parameters."""

from __future__ import annotations

import time
from uuid import UUID

import pytest
from django.urls.converters import REGISTERED_CONVERTERS, get_converters, register_converter

from django_fastws import RouteError
from django_fastws.live.pattern import RoomPattern

ID = "12345678-1234-5678-1234-567812345678"

MATCHES = [
    ("lobby", "lobby", {}),
    ("lobby", "lobby2", None),
    ("tickets/{pk:int}", "tickets/5", {"pk": 5}),
    ("tickets/<int:pk>", "tickets/5", {"pk": 5}),
    ("tickets/{pk:int}", "tickets/05", None),  # which would be a second room of ticket 5
    ("tickets/{pk:int}", "tickets/x", None),
    ("tickets/{pk:int}", "tickets/5/", None),
    ("tickets/{pk:int}", "/tickets/5", None),
    ("tickets/{pk:int}", "tickets/٥", None),
    ("{area}/{pk:int}", "größe/7", {"area": "größe", "pk": 7}),
    ("{area}", "a/b", None),
    ("{rest:path}", "a/b", {"rest": "a/b"}),
    ("u/{id:uuid}", f"u/{ID}", {"id": UUID(ID)}),
    ("a.c", "abc", None),
    ("a.c", "a.c\n", None),
]


@pytest.mark.parametrize(("pattern", "name", "params"), MATCHES)
def test_what_a_pattern_matches(pattern, name, params):
    assert RoomPattern(pattern).match(name) == params


FILLED = [
    ("lobby", {}, "lobby"),
    ("tickets/{pk:int}", {"pk": 5}, "tickets/5"),
    ("tickets/{pk:int}", {"pk": "5"}, "tickets/5"),
    ("{area}/{pk:int}", {"pk": 7, "area": "größe"}, "größe/7"),
    ("u/{id:uuid}", {"id": UUID(ID)}, f"u/{ID}"),
]


@pytest.mark.parametrize(("pattern", "params", "name"), FILLED)
def test_the_name_for_parameters(pattern, params, name):
    assert RoomPattern(pattern).fill(params) == name


WRONG = [
    ("lobby", {"pk": 5}, "no parameter 'pk'; it takes none"),
    ("tickets/{pk:int}", {}, "needs the parameter 'pk'; it takes pk"),
    ("tickets/{pk:int}", {"pk": 5, "x": 1}, "no parameter 'x'"),
    ("tickets/{pk:int}", {"pk": "x"}, "pk='x' does not fit"),
    ("tickets/{pk:int}", {"pk": -5}, "pk=-5 does not fit"),
    ("tickets/{pk:int}", {"pk": True}, "pk=True does not fit"),
    ("{slug}", {"slug": None}, "slug=None does not fit"),
    ("{slug}", {"slug": "a/b"}, "slug='a/b' does not fit"),
    ("{slug}", {"slug": ""}, "slug='' does not fit"),
    ("{a}-{b}", {"a": "x", "b": "y-z"}, "read as other parameters"),
]


@pytest.mark.parametrize(("pattern", "params", "text"), WRONG)
def test_a_wrong_parameter_is_a_type_error_that_says_which(pattern, params, text):
    with pytest.raises(TypeError, match=text):
        RoomPattern(pattern).fill(params)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("", "a pattern is a str"),
        (5, "a pattern is a str"),
        ("/tickets", "no slash in front: write 'tickets'"),
        ("{pk:nothing}", "no path converter is called 'nothing'; there are int, path"),
        ("tickets/{int:pk}", "no path converter is called 'pk': write {pk:int} or <int:pk>"),
        ("{pk", "stray '{'"),
        ("{a}/{a}", "two parameters called 'a'"),
    ],
)
def test_what_is_no_pattern_is_a_mistake(pattern, text):
    with pytest.raises(RouteError, match=text):
        RoomPattern(pattern)


@pytest.fixture
def even():
    class Even:
        regex = "[0-9]+"

        def to_python(self, text):
            if int(text) % 2:
                raise ValueError
            return int(text)

        def to_url(self, value):
            return str(value)

    register_converter(Even, "even")
    yield
    del REGISTERED_CONVERTERS["even"]
    get_converters.cache_clear()


def test_a_converter_of_the_project_may_refuse(even):
    pattern = RoomPattern("rows/{n:even}")
    assert (pattern.match("rows/4"), pattern.match("rows/3")) == ({"n": 4}, None)
    with pytest.raises(TypeError, match="n=3 does not fit"):
        pattern.fill({"n": 3})


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{a}-{b}-{c}", "-" * 508 + "/"),
        ("{a}-{b}-{c}-{d}.json", "-" * 508),
        ("{a}-{b}_{c}-{d}.json", "-_" * 250),
        ("{a:path}/{b:path}/{c:path}/x", "/" * 508),
        ("{a}{b}{c}.json", "x" * 508),
    ],
)
def test_a_name_that_could_be_split_in_thousands_of_ways_is_none(pattern, name):
    began = time.thread_time()
    assert RoomPattern(pattern).match(name) is None
    assert time.thread_time() - began < 1  # trying them all takes up to minutes


def test_names_with_many_separators_are_split_as_ever():
    long = "-".join("x" * 100)
    assert RoomPattern("{a}-{b}-{c}").match(long) == {"a": long[:-4], "b": "x", "c": "x"}
    assert RoomPattern("{a}-{b}").match("-" * 508) == {"a": "-" * 506, "b": "-"}
    assert RoomPattern("{a}/{b}/{c}/{d:path}").match("a/b/c" + "/d" * 200)["d"] == "d" + "/d" * 199
    assert RoomPattern("{a:int}-{b:uuid}-{c:int}").match(f"1-{ID}-2") == {"a": 1, "b": UUID(ID), "c": 2}
    with pytest.raises(TypeError, match="too many other parameters"):
        RoomPattern("{a}-{b}-{c}").fill({"a": "-" * 300, "b": "b", "c": "c"})
