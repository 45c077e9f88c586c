"""Headers of outbound requests: which may be given, which replace others, and which follow a redirect."""

from __future__ import annotations

import pytest

from django_fastws._core.outbound_headers import handshake_headers, harmless_headers, merge_headers, request_headers


@pytest.mark.parametrize("name", ["Upgrade", "connection", "Sec-WebSocket-Key", "SEC-WEBSOCKET-VERSION"])
def test_a_handshake_sets_its_own_headers(name):
    with pytest.raises(ValueError, match=f"{name}.*handshake"):
        handshake_headers({name: "x"})
    assert request_headers({name: "x"}) == [(name, "x")]


@pytest.mark.parametrize(
    ("name", "option"), [("Sec-WebSocket-Protocol", "subprotocols="), ("sec-websocket-extensions", "compression=")]
)
def test_what_has_an_option_is_refused_with_its_name(name, option):
    with pytest.raises(ValueError, match=option):
        handshake_headers([(name, "x")])


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding"])
@pytest.mark.parametrize("check", [handshake_headers, request_headers])
def test_where_a_body_ends_is_said_by_the_request_alone(check, name):
    with pytest.raises(ValueError, match=name):
        check({name: "5"})


def test_what_a_handshake_may_have_is_kept_in_order_and_as_often_as_given():
    given = [("X-One", "1"), ("Cookie", "a=1"), ("x-one", "2")]
    assert handshake_headers(given) == given


@pytest.mark.parametrize(
    ("library", "own", "merged"),
    [
        ([], [], []),
        ([("Host", "a")], [], [("Host", "a")]),
        ([("Host", "a"), ("Origin", "b")], [("host", "c")], [("Host", "c"), ("Origin", "b")]),
        ([("Host", "a")], [("HOST", "b"), ("Host", "c")], [("Host", "c")]),
        ([], [("X-One", "1"), ("X-One", "2")], [("X-One", "1"), ("X-One", "2")]),
        (
            [],
            [("Authorization", "a"), ("X-One", "1"), ("authorization", "b")],
            [("Authorization", "b"), ("X-One", "1")],
        ),
    ],
)
def test_the_users_headers_replace_those_of_the_library(library, own, merged):
    assert merge_headers(library, own) == merged


@pytest.mark.parametrize(
    "name", ["Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "Sec-WebSocket-Protocol"]
)
def test_what_may_be_a_secret_follows_to_no_other_origin(name):
    assert harmless_headers([("User-Agent", "feed"), (name, "opensesame")]) == [("User-Agent", "feed")]
