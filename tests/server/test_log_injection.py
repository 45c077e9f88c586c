"""Log injection: whatever a client sends, what is logged of it are whole, printable lines of the server's own."""

from __future__ import annotations

import asyncio
import re
import ssl
import struct

import h2.config
import h2.connection
import h2.events
import pytest

from tests.clients.certificates import Certificates
from tests.conftest import tracebacks
from tests.server.client import Connection, RawClient, fetch
from tests.server.test_endpoints import Elsewhere
from tests.site.client import LIMIT, until
from tests.support.processes import HOST, ASGIServer, free_port

pytestmark = [pytest.mark.server, pytest.mark.faults]

FORGED = "192.0.2.66"
RAW = [
    *("\r\n", "\n", "\r", "\x0b", "\x0c", "\x1b[2K\x1b[1A", "\x1b]0;", "\x7f", "\x08", "\0", "\x85", "\x9b1A", '"'),
    *("\u2028", "\u202e", "\ufeff", "\udcff"),
]
ENCODED = ["%0a", "%0d%0a", "%1b[2K", "%00", "%7f", "%85", "%c2%85", "%e2%80%a8", "%e2%80%ae", "%ff", "%22", "%250a"]
#: In each, a client tries to begin a line of its own.
TEXTS = [text + FORGED for text in (*RAW, *ENCODED, "\\n")]
NAMES = ["Origin", "Cookie", "User-Agent", "X-Forwarded-For", "Host", "Sec-WebSocket-Protocol"]
UPGRADE = [
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
    "Sec-WebSocket-Version: 13",
]
BEGINNING = re.compile(r'[\d.:]+ "')  # of a line of the access log
ACCESS = re.compile(r'[\d.:]+ "[^"]+"( \S+ \S+( "[^"]*")?)?')


async def ask(server: ASGIServer, target: str, *lines: str) -> None:
    """Ask, wait for an answer or for the server to hang up, and cut the connection."""
    head = "\r\n".join([f"GET {target} HTTP/1.1", f"Host: {HOST}", *lines, "", ""])
    async with Connection(server) as connection:
        await connection.write(head.encode("utf-8", "surrogateescape"))
        async with asyncio.timeout(LIMIT):
            await connection.reader.read(100)


async def logged(server: ASGIServer, start: int) -> list[str]:
    """The lines of the log, once there is one of a request that comes last."""
    await fetch(server, "/the-last-of-all")

    async def is_there() -> bool:
        return "/the-last-of-all" in server.log(start)

    await until(is_there, "the last request in the log")
    text = server.log_path.read_bytes()[start:].decode("utf-8", "surrogateescape")
    return text.split("\n")[:-1]


async def test_the_target_is_one_word_of_its_line(site):
    server = site("runws_server")
    start = server.log_size()
    for text in TEXTS:
        for target in (f"/hello/{text}", f"/hello/?q={text}", f"/x{text}"):
            await ask(server, target)
            await ask(server, target.replace("/hello", "/ws/echo"), *UPGRADE)
    lines = await logged(server, start)
    assert len(lines) > 100
    assert [line for line in lines if not line.isprintable() or line.startswith(FORGED)] == []
    access = [line for line in lines if BEGINNING.match(line)]
    assert [line for line in access if not ACCESS.fullmatch(line)] == []
    assert any("/hello/%7F" in line for line in access)


@pytest.mark.parametrize("name", NAMES)
async def test_no_header_makes_a_line(site, name):
    server = site("runws_server")
    start = server.log_size()
    for text in TEXTS:
        await ask(server, "/ws/echo", *UPGRADE, f"{name}: {text}")
        await ask(server, "/hello/", f"{name}: {text}")
    lines = await logged(server, start)
    assert [line for line in lines if not line.isprintable() or line.startswith(FORGED)] == []


async def test_no_close_reason_makes_a_line(site):
    server = site("runws_server")
    start = server.log_size()
    for text in TEXTS:
        payload = struct.pack("!H", 4000) + text.encode("utf-8", "surrogateescape")
        async with RawClient(server, "/ws/echo") as client:
            client.send(8, payload)
            await client.until_close()
    lines = await logged(server, start)
    assert [line for line in lines if not line.isprintable() or FORGED in line] == []


async def _statuses(port: int, tls: ssl.SSLContext, requests: list[tuple[bytes, bytes]]) -> dict[int, bytes]:
    """Send these methods and targets over one connection of HTTP/2: the status of each, by its number."""
    http2 = h2.connection.H2Connection(
        h2.config.H2Configuration(validate_outbound_headers=False, header_encoding=None)
    )
    http2.initiate_connection()
    for number, (method, target) in enumerate(requests):
        pseudo = {b":method": method, b":path": target, b":scheme": b"https", b":authority": HOST.encode()}
        http2.send_headers(2 * number + 1, list(pseudo.items()), end_stream=True)
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection(HOST, port, ssl=tls)
    statuses = {}
    async with asyncio.timeout(LIMIT):
        while len(statuses) < len(requests):
            writer.write(http2.data_to_send())
            for event in http2.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.ResponseReceived):
                    statuses[event.stream_id // 2] = dict(event.headers)[b":status"]
    writer.transport.abort()
    return statuses


async def test_over_http_2_neither_method_nor_target_makes_a_line(tmp_path):
    """There a value has any bytes but line breaks and NUL (RFC 9113 section 8.2.1)."""
    texts = [b"\x1b[2K", b'"', b"\x7f", b"\x0b", b"\xc2\x85", b"\xe2\x80\xa8", b"\xff", b" 200 5"]
    requests = [(b"G" + text + b"T", b"/hello/") for text in texts]
    requests += [(b"GET", b"/hello/?q=" + text + b"x") for text in texts]
    certificates, port = Certificates(tmp_path), free_port()
    file = tmp_path / "good.pem"
    endpoint = f"ssl:port={port}:interface={HOST}:privateKey={file}:certKey={file}"
    with Elsewhere("-e", endpoint, port=port) as server:
        statuses = await _statuses(port, certificates.client(), requests)

        async def are_logged() -> bool:
            return sum(map(bool, map(BEGINNING.match, server.log().split("\n")))) >= len(requests)

        await until(are_logged, "every request in the log")
        access = [line for line in server.log().split("\n") if BEGINNING.match(line)]
        assert [line for line in access if not line.isprintable() or not ACCESS.fullmatch(line)] == []
        assert tracebacks(server.log()) == []
    assert set(statuses.values()) <= {b"200", b"400"}
