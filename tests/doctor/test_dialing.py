"""Handshakes that do not come about, and what is said of them."""

import asyncio
import ssl

import pytest
import websockets

from django_fastws.doctor import dialing
from django_fastws.doctor.dialing import dial
from django_fastws.doctor.target import parse_target
from tests.clients.certificates import Certificates
from tests.doctor.peers import answering, http
from tests.support.processes import free_port

ACCEPTED = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: wrong")

#: What answers: the reply, the status that is seen, and words of the detail and of the hint.
ANSWERS = {
    "200 without upgrade": (http("200 OK", b"<html>"), 200, "without the upgrade", "proxy_set_header Upgrade"),
    "301": (http("301 Moved", b"", "Location: https://a.example/ws"), 301, "https://a.example/ws", "wss://"),
    "400": (http("400 Bad Request"), 400, "400", "ALLOWED_HOSTS"),
    "401": (http("401 Unauthorized"), 401, "401", "logged in"),
    "403": (http("403 Forbidden", b"Forbidden: this origin"), 403, "this origin", "FASTWS_ALLOWED_ORIGINS"),
    "404": (http("404 Not Found"), 404, "404", "ws_routes"),
    "a page": (
        http("404 Not Found", b"<html>", "Content-Type: text/html; charset=utf-8"),
        404,
        "404",
        "proxy_set_header Upgrade",
    ),
    "426": (http("426 Upgrade Required"), 426, "426", "Upgrade"),
    "502": (http("502 Bad Gateway", b"<html>"), 502, "502", "does not reach the server"),
    "418": (http("418 Teapot"), 418, "418", "log"),
    "a wrong accept": (http("101 Switching Protocols", b"", *ACCEPTED), None, "Sec-WebSocket-Accept", "unchanged"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", None, "no WebSocket handshake", "listens"),
    "nothing": (b"", None, "without an answer", "log"),
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_what_answers_otherwise(case):
    reply, status, detail, hint = ANSWERS[case]
    async with answering(reply) as port:
        dialed = await dial(parse_target(f"ws://127.0.0.1:{port}/ws", None), origin="http://a.example")
    assert (dialed.is_open, dialed.status) == (False, status)
    assert detail in dialed.detail
    assert hint in dialed.hint
    assert "\n" not in dialed.detail


@pytest.mark.parametrize(
    ("host", "detail", "hint"),
    [
        ("127.0.0.1:{port}", "refuses the connection", "Start the server"),
        ("no-such-host.invalid", "cannot be resolved", "name"),
    ],
    ids=["refused", "no such name"],
)
async def test_what_does_not_answer(host, detail, hint):
    url = f"ws://{host.format(port=free_port())}/"
    dialed = await dial(parse_target(url, None), origin=None)
    assert (dialed.is_open, dialed.status) == (False, None)
    assert detail in dialed.detail
    assert hint in dialed.hint


async def test_what_hangs(monkeypatch):
    monkeypatch.setattr(dialing, "DIAL_SECONDS", 0.2)
    async with answering(None) as port:
        dialed = await dial(parse_target(f"ws://127.0.0.1:{port}/", None), origin=None)
    assert "has not answered" in dialed.detail


@pytest.mark.parametrize(("name", "word"), [("good", "not trusted"), ("expired", "not trusted")])
async def test_a_certificate_that_is_not_trusted(tmp_path, name, word):
    certificates = Certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.authority.with_name(f"{name}.pem"))
    async with answering(http("404 Not Found"), context) as port:
        dialed = await dial(parse_target(f"wss://127.0.0.1:{port}/", None), origin=None)
    assert word in dialed.detail
    assert "certificate" in dialed.hint


async def test_what_has_no_tls():
    async with answering(http("400 Bad Request")) as port:
        dialed = await dial(parse_target(f"wss://127.0.0.1:{port}/", None), origin=None)
    assert "no TLS" in dialed.detail
    assert "ws://" in dialed.hint


async def test_a_handshake_that_comes_about_has_the_origin_and_the_headers():
    heard = asyncio.Queue()

    async def handler(ws):
        heard.put_nowait(ws.request.headers)
        await ws.wait_closed()

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        target = parse_target(f"ws://127.0.0.1:{port}/", None)
        dialed = await dial(target, origin="http://a.example", headers=[("X-Forwarded-For", "192.0.2.1")])
        assert dialed.is_open
        await dialed.close()
    headers = await heard.get()
    assert (headers["Origin"], headers["X-Forwarded-For"]) == ("http://a.example", "192.0.2.1")
