"""Who the client is, behind proxies."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_fastws.server.forwarded import Forwarded, parse_address
from tests.server.client import RawClient, fetch
from tests.support.examples import examples

FOR, PORT, PROTO = "X-Forwarded-For", "X-Client-Port", "X-Forwarded-Proto"


def headers(**values: str) -> list[tuple[bytes, bytes]]:
    names = {"for_": FOR, "port": PORT, "proto": PROTO}
    return [(names[name].lower().encode(), value.encode()) for name, value in values.items()]


@pytest.mark.parametrize(
    ("options", "reader"),
    [
        ((None, None, None, None), None),
        ((None, "", "", ""), None),
        ((0, "X-Real-IP", None, None), None),
        ((2, None, "X-Client-Port", None), Forwarded(2)),
        ((None, "X-Real-IP", None, None), Forwarded(1, b"x-real-ip", None, None)),
        ((3, FOR, PORT, PROTO), Forwarded(3, b"x-forwarded-for", b"x-client-port", b"x-forwarded-proto")),
        ((1, FOR, "X-Forwarded-Port", PROTO), Forwarded(1, b"x-forwarded-for", None, b"x-forwarded-proto")),
    ],
)
def test_options_say_how_many_proxies_are_believed_and_by_which_headers(options, reader):
    assert Forwarded.from_options(*options) == reader


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("192.0.2.1", ("192.0.2.1", None)),
        (" 192.0.2.1 ", ("192.0.2.1", None)),
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("2001:DB8:0::1", ("2001:db8::1", None)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:443", ("2001:db8::1", 443)),
        ("[192.0.2.1]:443", ("192.0.2.1", 443)),
        ("::ffff:192.0.2.1", ("192.0.2.1", None)),
        *[
            (text, None)
            for text in (
                "",
                "unknown",
                "_hidden",
                "example.com",
                "192.0.2",
                "192.0.2.256",
                "192.0.2.1:port",
                "192.0.2.1:65536",
                "192.0.2.1:-1",
                "192.0.2.1:²",
                "192.0.2.1:00000080",
                "[2001:db8::1",
                "[2001:db8::1]443",
                "2001:db8::1]",
                "fe80::1%eth0",
                "1.2.3.4 5.6.7.8",
                "'; DROP TABLE",
                "\x00",
            )
        ],
    ],
)
def test_an_address_is_split_from_its_port_or_is_none(text, parsed):
    assert parse_address(text) == parsed


@pytest.mark.parametrize(
    ("hops", "value", "client"),
    [
        (1, "192.0.2.1", ["192.0.2.1", 0]),
        (1, "6.6.6.6, 192.0.2.1", ["192.0.2.1", 0]),
        (2, "6.6.6.6, 192.0.2.1, 10.0.0.1", ["192.0.2.1", 0]),
        (2, "6.6.6.6, [2001:db8::1]:99, 10.0.0.1:1", ["2001:db8::1", 99]),
        (3, "192.0.2.1,10.0.0.1,10.0.0.2", ["192.0.2.1", 0]),
        (2, "192.0.2.1", None),
        (1, "192.0.2.1, unknown", None),
        (1, "", None),
        (2, "192.0.2.1,", ["192.0.2.1", 0]),
        (1, "192.0.2.1,", None),
    ],
)
def test_the_client_is_the_nth_from_the_right(hops, value, client):
    assert Forwarded(hops).client(headers(for_=value)) == client


OURS = ["10.0.0.1", "[2001:db8::9]:443", "unix:", "_proxy"]  # what proxies of our own say of each other
SEEN = ["192.0.2.1", "192.0.2.1:4711", "[192.0.2.1]:4711", "::ffff:192.0.2.1"]
WRITTEN = st.lists(
    st.one_of(
        st.sampled_from(["6.6.6.6", "6.6.6.6:1", "[::1]", "::1", "", ",", ",,", " ", '"', "\t", "\x00", "127.0.0.1"]),
        st.text(st.characters(max_codepoint=255), max_size=20),
    ),
    max_size=6,
)


@settings(max_examples=examples(300))
@given(WRITTEN, st.lists(st.sampled_from(OURS), max_size=3), st.sampled_from(SEEN), st.booleans())
def test_nothing_that_a_client_writes_moves_the_client(written, ours, seen, is_one_header):
    """A proxy adds to what it got, in the same header or in one more: the address stands where it does."""
    values = [",".join([*written, seen, *ours])] if is_one_header else [*written, seen, *ours]
    client = Forwarded(len(ours) + 1).client([(b"x-forwarded-for", value.encode("latin-1")) for value in values])
    assert client is not None
    assert client[0] == "192.0.2.1"


@settings(max_examples=examples(300))
@given(WRITTEN, st.integers(1, 4))
def test_whatever_is_written_the_client_is_an_address_or_none(written, hops):
    lines = [(b"x-forwarded-for", value.encode("latin-1")) for value in written]
    client = Forwarded(hops).client(lines)
    assert client is None or (ip_address(client[0]) and 0 <= int(client[1]) <= 65535)


def test_several_headers_are_one_list():
    assert Forwarded(2).client([*headers(for_="6.6.6.6, 192.0.2.1"), *headers(for_="10.0.0.1")]) == ["192.0.2.1", 0]


@pytest.mark.parametrize(
    ("value", "port"), [("4711", 4711), ("1, 4711", 4711), ("x", 0), ("65536", 0), ("-1", 0), ("", 0)]
)
def test_the_port_may_have_a_header_of_its_own(value, port):
    forwarded = Forwarded(1, port_header=PORT.lower().encode())
    assert forwarded.client(headers(for_="192.0.2.1", port=value)) == ["192.0.2.1", port]


@pytest.mark.parametrize(
    ("hops", "value", "is_secure"),
    [
        (1, "https", True),
        (1, "HTTPS", True),
        (1, "wss", True),
        (1, "http", False),
        (1, "https, http", False),
        (2, "http, https, http", True),
        (2, "https", True),
        (1, "javascript", None),
        (1, "", None),
    ],
)
def test_the_scheme_is_believed_likewise(hops, value, is_secure):
    assert Forwarded(hops).is_secure(headers(proto=value)) is is_secure


# On the server


async def _scopes(server: Any, lines: dict[str, str]) -> list[dict[str, Any]]:
    """The scopes of a request and of a WebSocket with these headers."""
    request = (await fetch(server, "/scope/", headers=lines)).json()
    handshake = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    async with RawClient(server, "/scope/", headers=handshake) as client:
        return [request, json.loads((await client.receive()).payload)]


@pytest.mark.server
@pytest.mark.parametrize(
    ("options", "value", "client"),
    [
        ([], "6.6.6.6, 192.0.2.1", None),
        (["--forwarded-hops", "0"], "6.6.6.6, 192.0.2.1", None),
        (["--proxy-headers"], "6.6.6.6, 192.0.2.1", ["192.0.2.1", 0]),
        (["--forwarded-hops", "1"], "6.6.6.6, 192.0.2.1", ["192.0.2.1", 0]),
        (["--forwarded-hops", "2"], "6.6.6.6, 192.0.2.1:7, 10.0.0.1", ["192.0.2.1", 7]),
        (["--forwarded-hops", "2"], "nonsense", None),
    ],
)
async def test_the_scope_tells_the_client_and_the_scheme(plain, options, value, client):
    server = plain(*options)
    for scope in await _scopes(server, {FOR: value, PROTO: "https"}):
        if client is None:
            assert scope["client"][0] == "127.0.0.1"
        else:
            assert scope["client"] == client
        secure = options not in ([], ["--forwarded-hops", "0"])
        assert scope["scheme"] == {"http": "http", "websocket": "ws"}[scope["type"]] + "s" * secure


@pytest.mark.server
@pytest.mark.parametrize(
    ("options", "port"),
    [
        (["--forwarded-hops", "1"], 0),
        (["--proxy-headers"], 0),
        (["--proxy-headers", "--proxy-headers-port", "X-Client-Port"], 4711),
    ],
)
async def test_the_port_that_the_client_asked_for_is_not_its_own(plain, options, port):
    """Load balancers tell in X-Forwarded-Port at which of their ports the request came."""
    lines = {FOR: "192.0.2.1", "X-Forwarded-Port": "443", PORT: "4711"}
    for scope in await _scopes(plain(*options), lines):
        assert scope["client"] == ["192.0.2.1", port]


@pytest.mark.server
async def test_another_header_may_have_the_address(plain):
    server = plain("--proxy-headers", "--proxy-headers-host", "X-Real-IP")
    for scope in await _scopes(server, {"X-Real-IP": "192.0.2.1", FOR: "6.6.6.6"}):
        assert scope["client"] == ["192.0.2.1", 0]


@pytest.mark.server
async def test_the_access_log_has_the_client(plain):
    server = plain("--forwarded-hops", "1")
    await _scopes(server, {FOR: "192.0.2.99"})
    assert '192.0.2.99 "' in server.log()
    assert "WSCONNECT /scope/" in server.log()


@pytest.mark.server
async def test_a_handler_of_the_package_has_the_client(serve):
    server = serve("runws_server", options=["--forwarded-hops", "1"])
    lines = f"{FOR}: 6.6.6.6, [2001:db8::7]:4711\r\n{PROTO}: https\r\n"
    async with RawClient(server, "/ws/about/me", headers=lines) as client:
        facts = json.loads((await client.receive()).payload)
    assert facts["client"] == ["2001:db8::7", 4711]
    assert facts["url"].startswith("wss://")
