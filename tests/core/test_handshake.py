"""What is denied before anything else looks at a handshake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.handshake import handshake_problem, offered


def scope(query=b"", headers=(), subprotocols=()):
    return {"type": "websocket", "query_string": query, "headers": list(headers), "subprotocols": list(subprotocols)}


LET_THROUGH = [
    scope(),
    {"type": "websocket"},
    {"type": "websocket", "query_string": None, "headers": None, "subprotocols": None},
    scope(b"a=1&b=caf%C3%A9"),
    scope(headers=[(b"cookie", b"sessionid=abc; csrftoken=def")]),
    scope(headers=[(b"cookie", b"")]),
    scope(headers=[(b"cookie", b"a=\xf6\t")]),
    scope(headers=[(b"cookie", b'a="x\\073 y"')]),  # a quoted semicolon
    scope(headers=[(b"cookie", b'note="a\\012b\\011c\\015d"')]),  # as Django's set_cookie() writes control characters
    scope(headers=[(b"cookie", b'a="\\000"')]),
    scope(headers=[(b"cookie", "name=Åsa…".encode()), (b"x-other", b"\x00\x85\x0b\x7f")]),
    scope(subprotocols=["", "chat", ""]),
    scope(subprotocols=["chat", "v1.example", "graphql-transport-ws"]),
    scope(subprotocols=["p"] * 100),
    scope(headers=[(b"cookie", b"a" * 16384)]),
]


@pytest.mark.parametrize("asked", LET_THROUGH, ids=lambda asked: repr(asked)[:60])
def test_what_is_let_through(asked):
    assert handshake_problem(asked, 1000) is None


REFUSED = [
    (scope(b"q=%ff"), "query parameter number 1 is not UTF-8"),
    (scope(b"a&" * 1000), "the query string has more than 1000 parameters"),
    (scope(headers=[(b"cookie", b"sessionid=\x00")]), "the Cookie header is malformed"),
    (scope(headers=[(b"cookie", b"a=1\r\nX: y")]), "the Cookie header is malformed"),
    (scope(headers=[(b"cookie", b"a=1"), (b"cookie", b"\x7f")]), "the Cookie header is malformed"),
    (scope(subprotocols=[""]), "the Sec-WebSocket-Protocol header is malformed"),  # RFC 6455 asks for one at least
    (scope(subprotocols=["chat", "a b"]), "the Sec-WebSocket-Protocol header is malformed"),
    (scope(subprotocols=["größe"]), "the Sec-WebSocket-Protocol header is malformed"),
    (scope(subprotocols=["a\r\n"]), "the Sec-WebSocket-Protocol header is malformed"),
    (scope(subprotocols=["p"] * 101), "the Sec-WebSocket-Protocol header is malformed"),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED, ids=lambda value: repr(value)[:60])
def test_what_is_denied(asked, words):
    assert handshake_problem(asked, 1000) == words


@pytest.mark.parametrize(
    ("subprotocols", "names"), [(None, []), ([], []), ([""], []), (["", "a", "", "b", ""], ["a", "b"])]
)
def test_empty_elements_of_a_list_of_subprotocols_are_none(subprotocols, names):
    assert offered(subprotocols) == names


def test_the_number_of_parameters_is_not_limited_where_the_setting_is_none():
    assert handshake_problem(scope(b"a&" * 5000), None) is None


NAMES = st.sampled_from([b"cookie", b"origin", b"host", b"x-other"])


@given(
    st.binary(),
    st.lists(st.tuples(NAMES, st.binary())),
    st.lists(st.text(st.characters()), max_size=5),
    st.one_of(st.none(), st.integers(0, 5)),
)
def test_nothing_is_raised_whatever_the_client_sent(query, headers, subprotocols, limit):
    reason = handshake_problem(scope(query, headers, subprotocols), limit)
    assert reason is None or reason
