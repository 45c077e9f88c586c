"""Headers, both ways."""

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.headers import HANDSHAKE_HEADERS, HeaderMap, encode_headers, header_pairs
from tests.support.ids import shown

RAW = [
    (b"host", b"example.com"),
    (b"cookie", b"a=1"),
    (b"cookie", b"b=2"),
    (b"x-forwarded-for", b"1.1.1.1"),
    (b"x-forwarded-for", b"2.2.2.2"),
    (b"x-latin", b"gr\xf6\xdfe"),
]


@pytest.mark.parametrize("name", ["host", "Host", "HOST", "hOsT"])
def test_a_header_is_found_whatever_its_case(name):
    headers = HeaderMap(RAW)
    assert headers[name] == "example.com"
    assert headers.get(name) == "example.com"
    assert name in headers


def test_several_of_one_name_are_joined():
    headers = HeaderMap(RAW)
    assert headers["X-Forwarded-For"] == "1.1.1.1, 2.2.2.2"
    assert headers["Cookie"] == "a=1; b=2"
    assert headers.getlist("X-Forwarded-For") == ["1.1.1.1", "2.2.2.2"]
    assert headers.getlist("X-None") == []


def test_values_are_latin_1():
    assert HeaderMap(RAW)["x-latin"] == "größe"


def test_it_is_a_mapping():
    headers = HeaderMap(RAW)
    assert list(headers) == ["host", "cookie", "x-forwarded-for", "x-latin"]
    assert len(headers) == 4
    assert dict(headers)["host"] == "example.com"
    assert headers.get("nope") is None
    assert headers.get("nope", "default") == "default"
    assert headers == HeaderMap(RAW)
    assert "example.com" in repr(headers)
    assert headers.raw == RAW
    with pytest.raises(KeyError):
        headers["nope"]


def test_changing_a_list_of_values_does_not_change_the_headers():
    headers = HeaderMap(RAW)
    headers.getlist("host").append("evil")
    assert headers.getlist("host") == ["example.com"]


def test_names_that_a_server_left_in_upper_case_are_found():
    assert HeaderMap([(b"X-Big", b"1")])["x-big"] == "1"


def test_an_empty_map():
    assert len(HeaderMap()) == 0
    assert not HeaderMap()


@pytest.mark.parametrize("name", [None, 5, b"host"])
def test_a_name_that_is_no_str_is_not_in_it(name):
    assert name not in HeaderMap(RAW)


@pytest.mark.parametrize("name", [None, 5])
def test_getting_a_name_that_is_no_str_finds_nothing(name):
    assert HeaderMap(RAW).get(name) is None


def test_headers_survive_copying_and_pickling():
    headers = HeaderMap(RAW)
    assert copy.deepcopy(headers) == headers
    assert pickle.loads(pickle.dumps(headers)).getlist("cookie") == ["a=1", "b=2"]


@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_arbitrary_headers_can_be_looked_at(raw):
    headers = HeaderMap(raw)
    for name in headers:
        assert name in headers
        assert headers[name.upper() if name.isascii() else name] == headers[name]
        assert headers.getlist(name)
    assert sum(len(headers.getlist(name)) for name in headers) == len(raw)


ENCODED = [
    ((), []),
    ([], []),
    (None, []),
    ({}, []),
    ({"X-A": "1"}, [(b"x-a", b"1")]),
    ({b"X-A": b"1"}, [(b"x-a", b"1")]),
    ([("X-A", "1"), (b"X-B", "2")], [(b"x-a", b"1"), (b"x-b", b"2")]),
    ((("X-A", b"1"),), [(b"x-a", b"1")]),
    ([["X-A", "1"]], [(b"x-a", b"1")]),
    (
        [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2")],
        [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2")],
    ),
    ({"X-Latin": "größe"}, [(b"x-latin", b"gr\xf6\xdfe")]),
    ({"X-Empty": ""}, [(b"x-empty", b"")]),
    ({"X-Space": "  a b  "}, [(b"x-space", b"a b")]),
    ({"X-Tab": "a\tb"}, [(b"x-tab", b"a\tb")]),
]


@pytest.mark.parametrize(("headers", "encoded"), ENCODED, ids=shown)
def test_encoding(headers, encoded):
    assert encode_headers(headers) == encoded


@pytest.mark.parametrize("name", sorted(HANDSHAKE_HEADERS))
def test_a_request_may_have_the_headers_that_an_answer_may_not(name):
    assert encode_headers({name.title(): "x"}) == [(name, b"x")]


def test_an_iterator_of_pairs_is_taken():
    assert encode_headers(pair for pair in [("X-A", "1")]) == [(b"x-a", b"1")]


REFUSED = [
    ({"X-A": 5}, TypeError, "a header value is str or bytes, not int"),
    ({5: "a"}, TypeError, "a header name is str or bytes, not int"),
    ({"X-A": None}, TypeError, "not NoneType"),
    ({"X-A": ["a", "b"]}, TypeError, "not list"),
    (["X-A: 1"], TypeError, "headers are pairs of name and value, not 'X-A: 1'"),
    ([("X-A",)], TypeError, "headers are pairs"),
    ([("X-A", "1", "2")], TypeError, "headers are pairs"),
    ([5], TypeError, "headers are pairs"),
    ({"": "a"}, ValueError, "is not a header name"),
    ({"X A": "a"}, ValueError, "is not a header name"),
    ({"X-A:": "a"}, ValueError, "is not a header name"),
    ({"X-Ä": "a"}, ValueError, "is not a header name"),
    ({"X\r\nY": "a"}, ValueError, "is not a header name"),
    ({"X-A": "a\r\nX-B: b"}, ValueError, "the value of header 'x-a' holds control characters"),
    ({"X-A": "a\nb"}, ValueError, "control characters"),
    ({"X-A": "a\0b"}, ValueError, "control characters"),
    ({"X-A": b"a\x7fb"}, ValueError, "control characters"),
    ({"X-A": "✓"}, ValueError, "outside latin-1"),
    ({"✓": "a"}, ValueError, "outside latin-1"),
    ({"Connection": "close"}, ValueError, "header 'connection' is the server's to set"),
    ({"Upgrade": "h2c"}, ValueError, "is the server's to set"),
    ({"Content-Length": "5"}, ValueError, "is the server's to set"),
    ({"Transfer-Encoding": "chunked"}, ValueError, "is the server's to set"),
    ({"Sec-WebSocket-Accept": "x"}, ValueError, "is the server's to set"),
    ({"SEC-WEBSOCKET-EXTENSIONS": "x"}, ValueError, "is the server's to set"),
    ({b"Sec-WebSocket-Protocol": "chat"}, ValueError, "use accept(subprotocol=...)"),
]


@pytest.mark.parametrize(("headers", "error", "words"), REFUSED, ids=shown)
def test_a_header_that_cannot_be_sent_is_refused(headers, error, words):
    with pytest.raises(error) as raised:
        encode_headers(headers, HANDSHAKE_HEADERS)
    assert words in str(raised.value)


@pytest.mark.parametrize("headers", [5, "X-A: 1", b"X-A: 1", True])
def test_what_is_no_headers_at_all_raises_type_error(headers):
    for check in (encode_headers, header_pairs):
        with pytest.raises(TypeError, match=f"a mapping or pairs of name and value, not {type(headers).__name__}"):
            check(headers)


@given(st.lists(st.tuples(st.one_of(st.text(), st.binary()), st.one_of(st.text(), st.binary()))))
def test_what_is_encoded_can_neither_break_a_line_nor_the_handshake(headers):
    try:
        encoded = encode_headers(headers)
    except ValueError:
        return
    assert len(encoded) == len(headers)
    for name, value in encoded:
        assert name == name.lower()
        assert name
        assert not set(name) & set(b"\r\n\0: ")
        assert not set(value) & set(b"\r\n\0")


PAIRS = [
    (None, []),
    ({}, []),
    ({"X-A": "1", b"X-B": b"gr\xf6\xdfe"}, [("X-A", "1"), ("X-B", "größe")]),
    ([("X-A", 5), ["X-A", ""]], [("X-A", "5"), ("X-A", "")]),
    (iter([iter(("X-A", "1"))]), [("X-A", "1")]),
]


@pytest.mark.parametrize(("headers", "pairs"), PAIRS, ids=["none", "empty", "mapping", "pairs", "iterators"])
def test_the_headers_of_a_request_that_goes_out(headers, pairs):
    assert header_pairs(headers) == pairs


NO_PAIRS = [
    (["ab"], TypeError, "are a mapping or pairs"),
    ([b"ab"], TypeError, "are a mapping or pairs"),
    ([("X-A",)], TypeError, "are a mapping or pairs"),
    ([("X-A", "secret", "2")], TypeError, "are a mapping or pairs"),
    ([5], TypeError, "are a mapping or pairs"),
    ({5: "secret"}, TypeError, "is a str, not int"),
    ({"X-A": True}, TypeError, "'X-A' is a str, not bool"),
    ({"X-A": None}, TypeError, "'X-A' is a str, not NoneType"),
    ({"X A": "secret"}, ValueError, "'X A' is not a header name"),
    ({"X-A": "secret ✓"}, ValueError, "'X-A' has characters outside latin-1"),
    ({"X-A": "secret\n"}, ValueError, "'X-A' holds control characters"),
]


@pytest.mark.parametrize(("headers", "error", "words"), NO_PAIRS, ids=shown)
def test_a_header_that_cannot_go_out_is_refused_without_its_value(headers, error, words):
    with pytest.raises(error) as raised:
        header_pairs(headers)
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)
