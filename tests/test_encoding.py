"""What is sent or broadcast, as bytes: Django's types as DjangoJSONEncoder writes them, and the limit in bytes."""

import collections
import dataclasses
import datetime as dt
import enum
import json
import math
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.serializers.json import DjangoJSONEncoder
from django.http import QueryDict
from django.test import override_settings
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy, override
from hypothesis import given
from hypothesis import strategies as st

from django_fastws import MessageTooBig
from django_fastws.encoding import encode, encode_bytes, encode_json, encode_text
from django_fastws.types import Address
from tests.support.ids import shown


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 2


class Mood(enum.StrEnum):
    GOOD = "good"


class Text(str):
    pass


class Number(float):
    pass


class Whole(int):
    pass


class UserList(list):
    pass


Pair = collections.namedtuple("Pair", "x y")
EAST = dt.timezone(dt.timedelta(hours=5, minutes=30))


def as_django(data):
    """What DjangoJSONEncoder says, read back."""
    return json.loads(json.dumps(data, cls=DjangoJSONEncoder))


def as_sent(data):
    payload = encode_json(data)
    assert not payload.binary
    return json.loads(payload.raw)


AS_DJANGO = [
    dt.datetime(2024, 12, 31, 23, 59, 59),
    dt.datetime(2024, 12, 31, 23, 59, 59, 123456),
    dt.datetime(2024, 12, 31, 23, 59, 59, 123999),
    dt.datetime(2024, 12, 31, 23, 59, 59, 999),
    dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
    dt.datetime(2024, 12, 31, 23, 59, 59, 123456, tzinfo=dt.UTC),
    dt.datetime(2024, 12, 31, 23, 59, 59, tzinfo=EAST),
    dt.datetime(2024, 12, 31, 23, 59, 59, 500, tzinfo=EAST),
    dt.datetime(2024, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")),
    dt.datetime(1, 1, 1),
    dt.datetime(9999, 12, 31, 23, 59, 59, 999999),
    dt.date(2024, 12, 31),
    dt.time(23, 59, 59),
    dt.time(23, 59, 59, 123456),
    dt.time(0),
    dt.timedelta(days=1, hours=2, seconds=3, microseconds=4),
    dt.timedelta(seconds=-1),
    dt.timedelta(0),
    Decimal("1.10"),
    Decimal("1E+5"),
    Decimal("NaN"),
    UUID("12345678-1234-5678-1234-567812345678"),
    gettext_lazy("Yes"),
    lazystr("größe"),
    mark_safe("<b>"),
    Text("text"),
    Size.LARGE,
    Mood.GOOD,
    True,
    None,
    "größe ✓ 😀",
    "\x00\x1f\u2028\u2029</script>",
    [],
    {},
    (1, (2, 3)),
    collections.OrderedDict(b=1, a=2),
    collections.defaultdict(list, a=[1]),
    collections.Counter("aab"),
    2**53 + 1,
    2**64,
    -(2**70),
    1e300,
    5e-324,
    0.1,
    {1: "a", 2.5: "b", None: "c", False: "d"},
    {Mood.GOOD: 1, Size.LARGE: 2},
    {Text("key"): Text("value")},
    {2**70: 1},
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("data", AS_DJANGO, ids=ascii)
def test_a_value_is_written_as_django_does(data, nested):
    data = {"at": [data, {"deep": data}]} if nested else data
    assert as_sent(data) == as_django(data)


# What Django's encoder writes as well, and ours should
@pytest.mark.parametrize(
    "data",
    [
        Pair(1, [Pair(2, None)]),
        Number(1.5),
        Whole(5),
        Text("text"),
        QueryDict("a=1&a=2"),
        UserList([1, 2]),
        {Text("key"): Text("value")},
        {Whole(5): Whole(5)},
        Address("127.0.0.1", 80),
    ],
    ids=lambda data: type(data).__name__,
)
@pytest.mark.parametrize("beside", [None, 2**70, {1: 1}], ids=["alone", "big", "keys"])
def test_subclasses_of_pythons_own_types_are_written_as_django_does(data, beside):
    assert as_sent([data, beside]) == as_django([data, beside])


@dataclasses.dataclass
class Message:
    text: str
    at: dt.datetime
    tags: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    inner: Message
    price: Decimal


# What Django's encoder refuses, and ours writes
@pytest.mark.parametrize(
    ("data", "text"),
    [
        (Path("/srv/größe"), '"/srv/größe"'),
        (PurePosixPath("a/b"), '"a/b"'),
        (PureWindowsPath("a/b"), '"a\\\\b"'),
        (Color.RED, '"red"'),
        (
            Message("hi", dt.datetime(2024, 12, 31, 23, 59, 59, 123456, tzinfo=dt.UTC), ["a"]),
            '{"text":"hi","at":"2024-12-31T23:59:59.123Z","tags":["a"]}',
        ),
        (
            Slotted(Message("hi", dt.datetime(2024, 12, 31)), Decimal("1.10")),
            '{"inner":{"text":"hi","at":"2024-12-31T00:00:00","tags":[]},"price":"1.10"}',
        ),
        ([Slotted(Message("hi", dt.datetime(2024, 12, 31)), Decimal(1)), 2**70], None),
        (math.nan, "null"),
        ([math.inf], "[null]"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_more_that_can_be_written(data, text):
    raw = encode_json(data).raw.decode()
    assert text is None or raw == text
    assert json.loads(raw) is None or json.loads(raw)


@pytest.mark.parametrize("data", [{"a": 1, "b": [1, 2]}, {"größe": "✓"}])
def test_json_is_compact_and_not_escaped(data):
    assert encode_json(data).text == json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def test_a_lazy_string_is_written_in_the_language_of_the_moment():
    greeting = gettext_lazy("Yes")
    with override("de"):
        assert encode_json([greeting]).text == '["Ja"]'
    with override("en"):
        assert encode_json([greeting]).text == '["Yes"]'


@pytest.mark.parametrize(
    "data",
    [
        {1, 2},
        b"bytes",
        bytearray(b"x"),
        object(),
        SimpleLazyObject(object),
        (number for number in [1]),
        dt.time(12, tzinfo=dt.UTC),  # as Django: a time of day has no offset
        dt.UTC,
        1j,
        "\ud800",
        {"\udfff": 1},
        {(1, 2): 3},
        Message,
        json,
    ],
    ids=lambda data: type(data).__name__,
)
@pytest.mark.parametrize("beside", [[], [2**70], [{1: 1}]], ids=["alone", "big", "keys"])
def test_what_has_no_json_form_raises_type_error(data, beside):
    with pytest.raises(TypeError):
        encode_json([data, *beside])


def test_pretending_to_be_json_is_no_text():
    with pytest.raises(TypeError):
        encode_json(object())


# encode(): what a broadcast carries


@pytest.mark.parametrize(
    ("data", "binary", "raw"),
    [
        ("größe", False, "größe".encode()),
        ("", False, b""),
        (Text("text"), False, b"text"),
        (mark_safe("<b>"), False, b"<b>"),
        (b"\xff", True, b"\xff"),
        (b"", True, b""),
        (bytearray(b"ab"), True, b"ab"),
        (memoryview(b"ab"), True, b"ab"),
        ({"a": 1}, False, b'{"a":1}'),
        ([1], False, b"[1]"),
        (5, False, b"5"),
        (None, False, b"null"),
        (Mood.GOOD, False, b"good"),
        (dt.date(2024, 12, 31), False, b'"2024-12-31"'),
    ],
    ids=shown,
)
def test_the_kind_of_frame_follows_the_type(data, binary, raw):
    payload = encode(data)
    assert (payload.binary, payload.raw) == (binary, raw)
    assert type(payload.raw) is bytes


def test_what_can_change_is_copied():
    data = bytearray(b"ab")
    payload = encode_bytes(data)
    data[0] = 0
    assert payload.raw == b"ab"


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "größe \ud83d"])
def test_text_without_utf8_raises_value_error(text):
    with pytest.raises(ValueError, match="the text has no UTF-8"):
        encode_text(text)


# The limit


@pytest.mark.parametrize(
    ("function", "data", "size"),
    [
        (encode_text, "x" * 101, 101),
        (encode_text, "ü" * 51, 102),
        (encode_bytes, b"x" * 101, 101),
        (encode_json, "x" * 99, 101),
        (encode, {"a": "ü" * 50}, 108),
        (encode, b"x" * 101, 101),
        (encode, "😀" * 26, 104),
    ],
)
@override_settings(FASTWS_MAX_MESSAGE_BYTES=100)
def test_a_message_over_the_limit_is_refused_with_its_size_in_bytes(function, data, size):
    with pytest.raises(MessageTooBig) as raised:
        function(data)
    assert (raised.value.size, raised.value.limit) == (size, 100)


@pytest.mark.parametrize(
    ("function", "data"),
    [(encode_text, "x" * 100), (encode_text, "ü" * 50), (encode_bytes, b"x" * 100), (encode_json, "x" * 98)],
)
@override_settings(FASTWS_MAX_MESSAGE_BYTES=100)
def test_a_message_of_the_limit_is_sent(function, data):
    assert len(function(data)) == 100


def test_the_limit_is_one_mebibyte_unless_set():
    assert len(encode_bytes(bytes(1024 * 1024))) == 1024 * 1024
    with pytest.raises(MessageTooBig) as raised:
        encode_bytes(bytes(1024 * 1024 + 1))
    assert raised.value.limit == 1024 * 1024


MOMENTS = st.one_of(
    st.datetimes(timezones=st.sampled_from([None, dt.UTC, EAST])),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.uuids(),
)


@given(st.lists(MOMENTS))
def test_every_moment_is_written_as_django_does(values):
    assert as_sent(values) == as_django(values)


@given(st.text())
def test_every_text_comes_out_as_it_went_in(text):
    payload = encode_text(text)
    assert payload.text == text
    assert payload.raw == text.encode()
