"""JSON through orjson, where the rare shapes take a second try."""

import contextlib
import dataclasses
import functools
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.json import dumps, loads
from tests.support.ids import shown

WRITTEN = [
    (None, "null"),
    (True, "true"),
    (0, "0"),
    (-1.5, "-1.5"),
    ("", '""'),
    ("größe ✓", '"größe ✓"'),
    ('"\\\n\x00\x7f', '"\\"\\\\\\n\\u0000\x7f"'),
    ([], "[]"),
    ((1, 2), "[1,2]"),
    ({}, "{}"),
    ({"a": 1, "b": [None, {"c": "d"}]}, '{"a":1,"b":[null,{"c":"d"}]}'),
    ({0: "zero", None: "none"}, '{"0":"zero","null":"none"}'),
    (2**63, "9223372036854775808"),
    (2**64 - 1, "18446744073709551615"),
    (2**64, "18446744073709551616"),
    (-(2**63), "-9223372036854775808"),
    (-(2**70), "-1180591620717411303424"),
    ([2**70, "größe"], '[1180591620717411303424,"größe"]'),
    ({"a": {1: 2**70}}, '{"a":{"1":1180591620717411303424}}'),
    ({2**70: 1}, '{"1180591620717411303424":1}'),
    (math.nan, "null"),
    ([math.inf, -math.inf], "[null,null]"),
]


@pytest.mark.parametrize(("data", "text"), WRITTEN, ids=shown)
def test_writing(data, text):
    assert dumps(data).decode() == text


def test_keys_that_are_no_strings_are_written_as_the_standard_library_does():
    data = {1: "a", 2.5: "b", False: "c", None: "d", -3: "e"}
    assert json.loads(dumps(data)) == json.loads(json.dumps(data))


def test_nan_is_null_beside_a_big_integer_too():
    assert dumps([math.nan, 2**70]) == b"[null,1180591620717411303424]"


UNWRITABLE = [
    {1},
    b"bytes",
    object(),
    {"a": [object()]},
    {(1, 2): 3},
    {b"a": 1},
    {object(): 1},
    "\ud800",
    {"\ud800": 1},
    {"\ud800": 1, 2: 2},
    ["\ud800", 2**70],
    [object(), 2**70],
    {1: object()},
    {1: object(), 2: 2**70},
    (number for number in [1]),
    1j,
    print,
    int,
]


@pytest.mark.parametrize("data", UNWRITABLE, ids=shown)
def test_what_has_no_json_form_raises_type_error(data):
    with pytest.raises(TypeError, match="not JSON"):
        dumps(data)


@pytest.mark.parametrize("rest", [[], [2**70]])
def test_a_circle_raises_type_error(rest):
    circle = [*rest]
    circle.append(circle)
    with pytest.raises(TypeError, match="not JSON"):
        dumps(circle)


@pytest.mark.parametrize("data", [object(), {1: object()}, [object(), 2**70]], ids=["plain", "key", "big"])
def test_the_default_is_asked_for_what_json_has_not(data):
    assert json.loads(dumps(data, lambda value: "said")) in ("said", {"1": "said"}, ["said", 2**70])


@pytest.mark.parametrize("rest", [[], [2**70]], ids=["plain", "big"])
def test_what_the_default_raises_is_the_cause(rest):
    def default(value):
        raise TypeError("a reason of its own")

    with pytest.raises(TypeError) as raised:
        dumps([object(), *rest], default)
    told = [raised.value, raised.value.__cause__]
    assert any("a reason of its own" in str(error) for error in told)


@dataclasses.dataclass
class Point:
    x: int
    _y: int = 2

    @functools.cached_property
    def norm(self):
        return self.x + self._y


def as_dict(value):
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def test_a_dataclass_has_all_its_members():
    assert json.loads(dumps(Point(1), as_dict)) == {"x": 1, "_y": 2}


def test_a_dataclass_has_nothing_but_its_members():
    point = Point(1)
    assert point.norm == 3
    assert "norm" not in json.loads(dumps(point, as_dict))


def test_a_dataclass_is_the_same_beside_a_big_integer():
    @dataclasses.dataclass
    class Plain:
        x: int

    assert json.loads(dumps([Plain(1), 2**70], as_dict)) == [{"x": 1}, 2**70]


READ = [
    ("null", None),
    ("1", 1),
    ("-0", 0),
    ("1.5", 1.5),
    ('"größe"', "größe"),
    (' [1, {"a": []}] ', [1, {"a": []}]),
    ('{"a": 1, "a": 2}', {"a": 2}),
    ('"\\ud83d\\ude00"', "😀"),
    ("9223372036854775807", 2**63 - 1),
    ("18446744073709551615", 2**64 - 1),
]


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize(("text", "data"), READ)
def test_reading(text, data, as_bytes):
    assert loads(text.encode() if as_bytes else text) == data


@pytest.mark.parametrize("number", [2**64, 2**70, -(2**70)])
def test_an_integer_over_64_bits_is_read_as_a_float_as_in_a_browser(number):
    assert loads(dumps(number)) == float(number)


BAD = ["", " ", "{", "[1,]", "{'a': 1}", "nope", "NaN", "Infinity", "1 2", "01", '"\n"', '"\ud800"', "[" * 100_000]
BAD_BYTES = [b"", b"\xff", b'"\xff"', b'"\xed\xa0\x80"', b"\x00", "[1]".encode("utf-16")]


@pytest.mark.parametrize("data", BAD + BAD_BYTES, ids=lambda data: ascii(data[:12]))
def test_what_is_no_json_raises_value_error_and_names_the_call(data):
    with pytest.raises(json.JSONDecodeError) as raised:
        loads(data, "receive_json")
    assert isinstance(raised.value, ValueError)
    assert str(raised.value).startswith("receive_json(): the message is not JSON: ")


def test_a_bad_message_has_the_position_of_the_mistake():
    with pytest.raises(json.JSONDecodeError) as raised:
        loads('{"a": nope}')
    assert raised.value.pos == 6


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_is_read_back(value):
    assert loads(dumps(value)) == value
    assert json.loads(dumps(value)) == value


@given(st.recursive(st.one_of(VALUES, st.integers()), st.lists, max_leaves=5))
def test_any_integer_is_written_as_the_standard_library_does(value):
    assert json.loads(dumps(value)) == json.loads(json.dumps(value))


@given(st.one_of(st.text(st.characters()), st.binary(), st.text('{}[]",:1e-\\u truefalsn', max_size=20)))
def test_nothing_but_a_value_error_comes_of_arbitrary_input(data):
    with contextlib.suppress(ValueError):
        loads(data)
