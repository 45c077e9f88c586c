"""What is asked for, and what is said of the rest."""

import pytest

from django_fastws.testing.matching import listed, matches, phrase


def raising(error):
    def where(value):
        raise error

    return where


@pytest.mark.parametrize(
    ("where", "value", "expected"),
    [
        (None, 1, True),
        ({}, {}, True),
        ({}, [], False),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": None}, {}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}, True),
        ({"a": {"b": 1}}, {"a": 1}, False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        (lambda value: value, 0, False),
        (lambda value: value, 1, True),
        (lambda value: value["a"] == 1, {"b": 1}, False),
        (lambda value: value["a"] == 1, [], False),
    ],
)
def test_a_value_matches(where, value, expected):
    assert matches(where, value) is expected


def test_another_error_of_a_function_is_its_own():
    with pytest.raises(ZeroDivisionError):
        matches(raising(ZeroDivisionError()), {})


def test_what_is_asked_for_in_words():
    assert phrase(None) == ""
    assert phrase({"a": 1}) == " where {'a': 1}"
    assert phrase(raising) == " where raising"


def test_a_long_list_shows_the_end_and_a_long_message_the_beginning():
    assert listed("seen:", [], "nothing") == "nothing"
    lines = listed("seen:", [*range(30), "x" * 300], "nothing").split("\n    ")
    assert lines[:3] == ["seen:", "(11 more before these)", "11"]
    assert len(lines) == 22
    assert lines[-1] == "x" * 197 + "..."
