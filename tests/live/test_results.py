"""Results of handlers as JSON: by their annotation, and never a model of the database."""

from __future__ import annotations

import datetime as dt
import json
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from pydantic import BaseModel, Field

from django_fastws import RouteError
from django_fastws.live.results import ResultEncoder
from django_fastws.live.signature import EMPTY


class Said(BaseModel):
    text: str
    from_: str = Field("bot", serialization_alias="from")


@dataclass
class Held:
    value: Any


NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=dt.UTC)
SAID = {"text": "hi", "from": "bot"}

ENCODED = [
    (EMPTY, 5, 5),
    (EMPTY, None, None),
    (EMPTY, {"at": NOON}, {"at": "2026-01-02T12:00:00.123Z"}),
    (Any, (1, "größe"), [1, "größe"]),
    (EMPTY, {"words": {"hi"}}, {"words": ["hi"]}),
    (EMPTY, [b"hi", deque([Said(text="hi")]), IPv4Address("10.0.0.1")], ["hi", [SAID], "10.0.0.1"]),
    (EMPTY, {"big": 2**70, "words": {"hi"}}, {"big": 2**70, "words": ["hi"]}),
    (None, None, None),
    (int, 5, 5),
    (float, 5, 5),
    (Said, Said(text="hi"), SAID),
    (Said, {"text": "hi"}, SAID),
    (list[Said], [Said(text="hi")], [SAID]),
    (list[Said] | None, None, None),
    (dict[str, dt.datetime], {"at": NOON}, {"at": "2026-01-02T12:00:00.123456Z"}),
    (Held, Held(7), {"value": 7}),
]


@pytest.mark.parametrize(("annotation", "result", "value"), ENCODED, ids=str)
def test_a_result_is_encoded_by_its_annotation(annotation, result, value):
    assert json.loads(ResultEncoder("desk.say", annotation).encode(result)) == value


@pytest.mark.parametrize(
    ("annotation", "result"),
    [(int, "x"), (int, None), (None, 5), (Said, {}), (Said, Held(1)), (list[Said], [{"text": 7}])],
    ids=str,
)
def test_what_is_not_as_annotated_is_an_error_that_names_the_function(annotation, result):
    with pytest.raises(TypeError, match=r"desk.say\(\) has returned what is not "):
        ResultEncoder("desk.say", annotation).encode(result)


def test_what_has_no_json_form_is_an_error_that_names_the_function():
    with pytest.raises(TypeError, match=r"desk.say\(\) has returned what has no JSON form"):
        ResultEncoder("desk.say", EMPTY).encode({"x": object()})


OF_THE_DATABASE = [
    lambda: Group(name="x"),
    lambda: Group.objects.all(),
    lambda: Group.objects,
    lambda: [Group(name="x")],
    lambda: {"a": ({"b": Group(name="x")},)},
    lambda: [Held(Group(name="x"))],
    lambda: {"groups": Group.objects.all()},
    lambda: deque([Group(name="x")]),
]


@pytest.mark.parametrize("annotation", [EMPTY, Any, Said, list[Said], dict[str, Any]], ids=str)
@pytest.mark.parametrize("make", OF_THE_DATABASE)
def test_a_model_or_a_queryset_is_refused_with_the_remedy(make, annotation):
    with pytest.raises(TypeError, match="from_attributes=True") as raised:
        ResultEncoder("desk.say", annotation).encode(make())
    assert "desk.say() has returned" in str(raised.value)


def test_what_only_can_be_read_once_and_has_a_model_is_refused_all_the_same():
    encoder = ResultEncoder("desk.say", EMPTY)
    assert json.loads(encoder.encode({"lines": (line for line in "ab")})) == {"lines": ["a", "b"]}
    with pytest.raises(TypeError, match=r"desk.say\(\) has returned what has no JSON form"):
        encoder.encode(group for group in [Group(name="x")])


@pytest.mark.parametrize("wrap", [lambda it: it, lambda it: [it]])
def test_a_type_that_reads_attributes_takes_a_model(wrap):
    class Named(BaseModel, from_attributes=True):
        name: str

    annotation = Named if wrap(1) == 1 else list[Named]
    assert json.loads(ResultEncoder("desk.say", annotation).encode(wrap(Group(name="x")))) == wrap({"name": "x"})


@pytest.mark.parametrize("annotation", [Group, list[Group], QuerySet[Group], Group | None], ids=str)
def test_an_annotation_of_the_database_is_a_mistake_where_it_stands(annotation):
    with pytest.raises(RouteError, match="which is of the database: return what is to be sent"):
        ResultEncoder("desk.say", annotation)


def test_an_annotation_that_pydantic_does_not_know_is_a_mistake_where_it_stands():
    class Other: ...

    with pytest.raises(RouteError, match=r"desk.say\(\) returns Other, which cannot be encoded"):
        ResultEncoder("desk.say", Other)
