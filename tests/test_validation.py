"""Validation of messages by pydantic: what is read, what is said of what does not fit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model
from typing_extensions import TypedDict

from django_fastws import InvalidMessage
from django_fastws.exceptions import check_close, mistake_in
from django_fastws.validation import adapter, error_fields, error_summary, read_message


class Author(BaseModel):
    name: str


class Said(BaseModel):
    kind: Literal["said"] = "said"
    text: str
    authors: list[Author] = []


class Left(BaseModel):
    kind: Literal["left"]


@dataclass
class Point:
    x: int


class Named(TypedDict):
    name: str


Either = Annotated[Said | Left, Field(discriminator="kind")]

READ = [
    (Said, '{"text":"größe"}', Said(text="größe")),
    (Said, '{"text":"größe"}'.encode(), Said(text="größe")),
    (Point, '{"x":"1"}', Point(1)),
    (Named, '{"name":"x"}', {"name": "x"}),
    (list[Said], '[{"text":"a"}]', [Said(text="a")]),
    (Either, '{"kind":"left"}', Left(kind="left")),
    (int | None, "null", None),
    (Annotated[int, Field(json_schema_extra={"x": 1})], "5", 5),
    (Any, "{}", {}),
    (Any, '["NaN","Infinity",1e999]', ["NaN", "Infinity", float("inf")]),
]


@pytest.mark.parametrize(("type_", "data", "value"), READ, ids=str)
def test_what_is_read(type_, data, value):
    assert read_message(type_, data, "receive_as") == value


WRONG: list[tuple[Any, Any, int, dict[str, int]]] = [
    (Said, "{", 1007, {"": 1}),
    (Said, "", 1007, {"": 1}),
    (Said, b"\xff", 1007, {"": 1}),
    (Said, b'{"text":"\xff"}', 1007, {"": 1}),
    (float, "NaN", 1007, {"": 1}),
    (Any, '{"a":[-Infinity]}', 1007, {"": 1}),
    (list[float], b"[Infinity]", 1007, {"": 1}),
    (Said, "{}", 1008, {"text": 1}),
    (Said, "[]", 1008, {"": 1}),
    (Said, '{"authors":[{}, {"name":1}]}', 1008, {"text": 1, "authors.0.name": 1, "authors.1.name": 1}),
    (Either, '{"kind":"x"}', 1008, {"": 1}),
    (int, '"x"', 1008, {"": 1}),
]


@pytest.mark.parametrize(("type_", "data", "code", "fields"), WRONG, ids=str)
def test_what_does_not_fit_is_an_invalid_message_and_the_peers_mistake(type_, data, code, fields):
    with pytest.raises(InvalidMessage, match=r"^receive_as\(\): ") as raised:
        read_message(type_, data, "receive_as")
    error = raised.value
    assert isinstance(error, ValueError)
    assert {path: len(messages) for path, messages in error.fields.items()} == fields
    assert [set(one) for one in error.errors] == [{"type", "loc", "msg", "input"}] * sum(fields.values())
    mistake = mistake_in(error)
    assert mistake is not None
    assert mistake.code == code
    check_close(*mistake)


def test_a_close_reason_is_cut_to_what_a_frame_carries_and_has_no_control_characters():
    key = "ö" * 100 + "\n"
    with pytest.raises(InvalidMessage) as raised:
        read_message(dict[str, int], f'{{"{"ö" * 100}\\n":"x"}}', "receive_as")
    mistake = mistake_in(raised.value)
    check_close(*mistake)
    assert mistake.reason.endswith("…")
    assert "\n" not in str(raised.value)
    assert key in raised.value.fields


def test_a_summary_is_the_first_error_and_how_many_more():
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(Said).validate_json('{"authors":[{}]}')
    assert error_summary(raised.value) == "text: Field required (and 1 more)"
    assert error_fields(raised.value) == {"text": ["Field required"], "authors.0.name": ["Field required"]}


def test_no_more_than_a_hundred_errors_are_told():
    with pytest.raises(InvalidMessage, match="and 4999 more") as raised:
        read_message(list[int], f"[{'[],' * 4999}[]]", "receive_as")
    assert list(raised.value.fields) == [str(number) for number in range(100)]


def test_a_long_message_is_not_in_each_of_its_errors():
    many = create_model("Many", **{f"field{number}": (int, ...) for number in range(50)})
    with pytest.raises(InvalidMessage, match="and 49 more") as raised:
        read_message(many, json.dumps({"text": ["x"] * 10_000}), "receive_as")
    assert [set(one) for one in raised.value.errors] == [{"type", "loc", "msg"}] * 50


def test_an_adapter_is_made_once_for_each_type():
    assert adapter(Said) is adapter(Said)
    assert adapter(list[Said]) is adapter(list[Said])


def long_key(size):
    """JSON in which one key is in the paths of thousands of errors."""
    return json.dumps({"k" * size: dict.fromkeys(map(str, range(size // 20)), "x")})


def test_a_long_path_is_cut():
    with pytest.raises(ValidationError) as raised:
        TypeAdapter(dict[str, dict[str, int]]).validate_json(long_key(1000))
    assert list(error_fields(raised.value)) == ["k" * 299 + "…"]
    assert len(error_summary(raised.value)) < 500


def test_a_key_that_would_be_in_the_paths_of_thousands_of_errors_is_refused():
    for data in (long_key(50_000), long_key(50_000).encode(), json.dumps([{'"' * 9000: {}}, float("nan")])):
        with pytest.raises(InvalidMessage, match=r"receive_as\(\): a key in a message .* 1024 characters$") as raised:
            read_message(Any, data, "receive_as")
        assert list(raised.value.fields) == [""]
        assert mistake_in(raised.value).code == 1008


def test_long_texts_without_long_keys_are_read():
    for value in ({"k" * 1024: "x" * 20_000}, {"k": '"' * 20_000}, ["x" * 20_000], "x" * 20_000):
        assert read_message(Any, json.dumps(value), "receive_as") == value
    with pytest.raises(InvalidMessage, match="not JSON"):
        read_message(Any, "x" * 20_000, "receive_as")


def test_many_errors_at_short_paths_are_listed_as_far_as_they_are_told():
    with pytest.raises(InvalidMessage, match=r"0.a: .* \(and 19999 more\)$") as raised:
        read_message(list[dict[str, int]], json.dumps([{"a": []}] * 20_000), "receive_as")
    assert list(raised.value.fields) == [f"{number}.a" for number in range(100)]
    assert {tuple(one) for one in raised.value.errors} == {("type", "loc", "msg")}
