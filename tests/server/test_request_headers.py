"""Headers of a request: which the server believes, and which it takes."""

from __future__ import annotations

import asyncio
import json
import struct
from typing import Any

import pytest
from twisted.web.http_headers import Headers

from django_fastws.server.request_headers import take_headers
from tests.server.client import RawClient
from tests.site.client import LIMIT
from tests.support.processes import HOST, ASGIServer, free_port

server_test = pytest.mark.server

# What daphne and autobahn see of them


@pytest.mark.parametrize(
    ("sent", "taken", "left"),
    [
        ([(b"Host", b"a")], [(b"host", b"a")], {b"Host": [b"a"]}),
        ([(b"Daphne-Root-Path", b"/x"), (b"DAPHNE-ROOT-PATH", b"\xff")], [], {}),
        ([(b"X_Forwarded_For", b"1"), (b"Daphne_Root_Path", b"/x")], [], None),
        ([(b"Cookie", b"a=1"), (b"Cookie", b"b=\xc3\x85")], [(b"cookie", b"a=1"), (b"cookie", b"b=\xc3\x85")], None),
        ([(b"Sec-WebSocket-Protocol", b"a,, b ,")], None, {b"Sec-Websocket-Protocol": [b"a, b"]}),
        ([(b"Sec-WebSocket-Protocol", b",a"), (b"Sec-WebSocket-Protocol", b",b")], None, {b"P": [b"a, b"]}),
        ([(b"Sec-WebSocket-Protocol", b", ,")], [(b"sec-websocket-protocol", b", ,")], {}),
    ],
)
def test_what_is_taken_and_what_is_left(sent, taken, left):
    headers = Headers()
    for name, value in sent:
        headers.addRawHeader(name, value)
    got = take_headers(headers)
    if taken is not None:
        assert got == taken
    remaining = dict(headers.getAllRawHeaders())
    if left is not None:
        assert list(remaining.values()) == list(left.values())
    assert not any(b"\x85" in value for values in remaining.values() for value in values)


# Who is believed


async def scopes(server: ASGIServer, *headers: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """The scopes of a request and of a WebSocket with these headers."""
    head = b"".join(b"%s: %s\r\n" % pair for pair in headers)
    reader, writer = await asyncio.open_connection(HOST, server.port)
    async with asyncio.timeout(LIMIT):
        writer.write(b"GET /scope/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n" % (HOST.encode(), head))
        answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 ")
    request = json.loads(answer[answer.index(b"{") : answer.rindex(b"}") + 1])
    async with RawClient(server, "/scope/", headers=head.decode(errors="surrogateescape")) as client:
        assert client.status == 101
        return [request, json.loads((await client.receive()).payload)]


@server_test
@pytest.mark.parametrize(
    "header",
    [
        (b"Daphne-Root-Path", b"/x"),
        (b"DAPHNE-ROOT-PATH", b"//evil.example"),
        (b"daphne-root-path", b"/%2F%00%ff"),
        (b"Daphne-Root-Path", b"/gr\xc3\xb6\xc3\x9fe"),
        (b"Daphne-Root-Path", b"\xff"),
        (b"Daphne_Root_Path", b"/x"),
        (b"X-Script-Name", b"/x"),
        (b"X-Forwarded-Prefix", b"/x"),
        (b"X-Forwarded-For", b"6.6.6.6"),
        (b"X-Forwarded-Proto", b"https"),
        (b"X-Forwarded-Host", b"evil.example"),
        (b"Forwarded", b"for=6.6.6.6;proto=https"),
        (b"X-Real-IP", b"6.6.6.6"),
        (b"X-HTTP-Method-Override", b"DELETE"),
        (b"Front-End-Https", b"on"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("options", [(), ("--root-path", "/app")], ids=str)
async def test_no_client_says_where_it_asks_for_what(plain, options, header):
    server = plain(*options)
    for scope in await scopes(server, header):
        assert scope["root_path"] == (options[1] if options else "")
        assert scope["path"] == "/scope/"
        assert scope["client"][0] == "127.0.0.1"
        assert scope["scheme"] in ("http", "ws")
        assert scope["server"] == ["127.0.0.1", server.port]
        assert scope.get("method", "GET") == "GET"
        assert not any("_" in name or name == "daphne-root-path" for name, _ in scope["headers"])


# Which are taken


@server_test
@pytest.mark.parametrize(
    "value",
    [b"name=\xc3\x85sa \xe2\x80\xa6", b'a="x\\012y"', b"a=x\ty", bytes(range(0x80, 0x100))],
    ids=repr,
)
async def test_what_http_allows_in_a_value_arrives_as_it_was_sent(plain, value):
    for scope in await scopes(plain(), (b"Cookie", value), (b"X-Other", value), (b"Cookie", b"b=2")):
        values = {name: [] for name, _ in scope["headers"]}
        for name, got in scope["headers"]:
            values[name].append(got.encode("latin-1"))
        assert values["cookie"] == [value, b"b=2"]
        assert values["x-other"] == [value]


@server_test
@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([b"a,,b"], ["a", "b"]),
        ([b", a"], ["a"]),
        ([b",,,a, ,\t,b,,"], ["a", "b"]),
        ([b"a,", b",b"], ["a", "b"]),
        ([b",,"], []),
        ([b""], []),
    ],
)
async def test_empty_elements_of_a_list_of_subprotocols_are_none(plain, values, names):
    headers = "".join(f"Sec-WebSocket-Protocol: {value.decode()}\r\n" for value in values)
    async with RawClient(plain(), "/scope/", headers=headers) as client:
        assert client.status == 101
        assert json.loads((await client.receive()).payload)["subprotocols"] == names


# The PROXY protocol


@server_test
async def test_the_proxy_protocol_tells_the_client_and_makes_nothing_secure(serve_plain):
    port = free_port()
    serve_plain("-e", f"haproxy:tcp:{port}:interface={HOST}")
    for line, client in (
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n", ["192.0.2.7", 4711]),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n", ["2001:db8::7", 4711]),
    ):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(
            line + b"GET /scope/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        async with asyncio.timeout(LIMIT):
            head = await reader.readuntil(b"\r\n\r\n")
            _, _, size = struct.unpack("!BBH", await reader.readexactly(4))
            scope = json.loads(await reader.readexactly(size))
        writer.close()
        assert b" 101 " in head
        assert scope["scheme"] == "ws"
        assert scope["client"] == client
