"""The answers of applications: what may be sent, and what not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.answers import (
    MAX_DENIAL_BYTES,
    DenialResponse,
    checked_accept,
    checked_body,
    checked_response,
)

ACCEPT = {"type": "websocket.accept"}
START = {"type": "websocket.http.response.start", "status": 403}
BODY = {"type": "websocket.http.response.body"}
HTTP = {"type": "http.response.start", "status": 200}

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner),
    max_leaves=6,
)
HEADERS = ANYTHING | st.lists(st.tuples(st.text() | st.binary(), st.text() | st.binary()), max_size=3)


def is_harmless(headers):
    return all(
        isinstance(name, bytes)
        and isinstance(value, bytes)
        and name
        and not set(name) & set(b"\r\n\0: ")
        and not set(value) & set(b"\r\n\0")
        for name, value in headers
    )


@given(HEADERS, ANYTHING, st.lists(st.text(max_size=8), max_size=3))
def test_whatever_an_application_accepts_with_is_harmless_or_refused(headers, subprotocol, offered):
    try:
        event = checked_accept({**ACCEPT, "headers": headers, "subprotocol": subprotocol}, offered)
    except (TypeError, ValueError):
        return
    assert is_harmless(event["headers"])
    assert event["subprotocol"] is None or event["subprotocol"] in offered


@given(HEADERS, ANYTHING, ANYTHING)
def test_whatever_an_application_denies_with_is_harmless_or_refused(headers, status, body):
    try:
        denial = DenialResponse({**START, "headers": headers, "status": status})
        assert denial.add({**BODY, "body": body})
    except (TypeError, ValueError):
        return
    start, end = denial.events
    assert is_harmless(start["headers"])
    lengths = [value for name, value in start["headers"] if name == b"content-length"]
    assert lengths == [str(len(end["body"])).encode()]


@given(HEADERS, ANYTHING)
def test_whatever_an_application_answers_over_http_is_harmless_or_refused(headers, status):
    try:
        event = checked_response({**HTTP, "headers": headers, "status": status})
    except (TypeError, ValueError):
        return
    assert is_harmless(event["headers"])
    assert 100 <= event["status"] <= 599


def test_a_denial_in_pieces_is_one():
    denial = DenialResponse(
        {**START, "headers": [(b"Content-Length", b"1"), ("X-Why", "rule"), (b"connection", b"x")]}
    )
    assert not denial.add({**BODY, "body": b"not ", "more_body": True})
    assert denial.add({**BODY, "body": bytearray(b"now")})
    assert denial.parts == (403, [(b"x-why", b"rule")], b"not now")


def test_a_denial_is_bounded():
    denial = DenialResponse(START)
    denial.add({**BODY, "body": b"x" * MAX_DENIAL_BYTES, "more_body": True})
    with pytest.raises(ValueError, match="over 1048576 bytes"):
        denial.add({**BODY, "body": b"x"})


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_that_has_no_body_has_none(status):
    denial = DenialResponse({**START, "status": status})
    denial.add({**BODY, "body": b"x"})
    assert denial.parts == (status, [], b"")


@pytest.mark.parametrize("body", ["text", 5, ["a"], True])
def test_a_body_is_bytes(body):
    with pytest.raises(TypeError, match="the body is bytes"):
        checked_body({**BODY, "body": body})


@pytest.mark.parametrize("lengths", [[b"2", b"3"], [b"+2"], [b""], [b"2, 2"], [b"\xb2"]])
def test_a_length_is_one_number(lengths):
    with pytest.raises(ValueError, match="Content-Length is one number"):
        checked_response({**HTTP, "headers": [(b"content-length", length) for length in lengths]})
