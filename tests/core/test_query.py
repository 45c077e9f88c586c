"""Query strings, read strictly."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.query import QueryError, parse_query

TABLE = [
    (b"", []),
    (b"&", []),
    (b"&&a=1&&", [("a", "1")]),
    (b"a=1", [("a", "1")]),
    (b"a=1&a=2&b=3", [("a", "1"), ("a", "2"), ("b", "3")]),
    (b"a", [("a", "")]),
    (b"a=", [("a", "")]),
    (b"=a", [("", "a")]),
    (b"=", [("", "")]),
    (b"a=b=c", [("a", "b=c")]),
    (b"q=caf%C3%A9+noir", [("q", "café noir")]),
    (b"caf%C3%A9=1", [("café", "1")]),
    ("q=café".encode(), [("q", "café")]),
    (b"q=a%2Bb", [("q", "a+b")]),
    (b"q=a%26b%3Dc", [("q", "a&b=c")]),
    (b"q=%F0%9F%98%80", [("q", "😀")]),
    (b"q=%", [("q", "%")]),
    (b"q=%zz", [("q", "%zz")]),
    (b"q=%00", [("q", "\0")]),
    (b"a=1;b=2", [("a", "1;b=2")]),
    (b"a[]=1", [("a[]", "1")]),
]


@pytest.mark.parametrize(("raw", "fields"), TABLE, ids=[repr(raw) for raw, _ in TABLE])
def test_reading(raw, fields):
    assert parse_query(raw) == fields


@pytest.mark.parametrize(
    ("raw", "number"),
    [(b"q=%ff", 1), (b"a=1&%ff=2", 2), (b"q=\xff", 1), (b"a=1&b=2&q=%ED%A0%80", 3), (b"q=%C3", 1), (b"q=%C0%80", 1)],
)
def test_what_is_not_utf8_is_refused(raw, number):
    with pytest.raises(QueryError) as raised:
        parse_query(raw)
    assert str(raised.value) == f"query parameter number {number} is not UTF-8"


@pytest.mark.parametrize(
    ("fields", "limit", "refused"),
    [(1000, 1000, False), (1001, 1000, True), (1, 1, False), (2, 1, True), (5000, None, False)],
)
def test_the_number_of_parameters_is_limited(fields, limit, refused):
    raw = b"&".join([b"a=1"] * fields)
    if not refused:
        assert len(parse_query(raw, limit)) == fields
        return
    with pytest.raises(QueryError) as raised:
        parse_query(raw, limit)
    assert str(raised.value) == f"the query string has more than {limit} parameters"


def test_too_many_parameters_are_refused_before_any_is_read():
    with pytest.raises(QueryError, match="more than 1000"):
        parse_query(b"%ff&" * 2000)


def test_a_query_error_is_a_value_error():
    assert issubclass(QueryError, ValueError)


@given(st.lists(st.tuples(st.text(), st.text())))
def test_what_urlencode_writes_is_read_back(fields):
    assert parse_query(urlencode(fields).encode(), None) == fields


PIECES = st.sampled_from(
    [b"a", b"b", b"%", b"%4", b"%41", b"%C3", b"%A9", "é".encode(), b"\xff", b"&", b"=", b"+", b";"]
)


@given(st.lists(PIECES).map(b"".join))
def test_it_agrees_with_urllib_or_refuses(raw):
    try:
        fields = parse_query(raw, None)
        text = raw.decode()
    except (QueryError, UnicodeDecodeError):
        return
    assert fields == parse_qsl(text, keep_blank_values=True, max_num_fields=None)


@given(st.binary(), st.one_of(st.none(), st.integers(0, 10)))
def test_nothing_but_a_query_error_comes_of_arbitrary_bytes(raw, limit):
    try:
        fields = parse_query(raw, limit)
    except QueryError:
        return
    assert all(isinstance(part, str) for field in fields for part in field)
    assert limit is None or len(fields) <= limit
