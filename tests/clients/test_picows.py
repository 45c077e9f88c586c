"""What picows leaves to websockets, and what it must not leave behind."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import socket

import pytest

from django_fastws.clients import picows as connecting
from django_fastws.clients.parser import ParsingConnection
from django_fastws.clients.picows_connection import PicowsConnection
from tests.clients.handlers import once
from tests.clients.proxies import Proxy
from tests.support.transports import transport_of

from .conftest import run, running
from .handlers import by_async_for
from .peers import HOST, closing, frame, read_close, read_request, shake_hands, silence, soon

LIBRARIES = ("picows",)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy", "socks_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


# What it leaves to websockets


async def test_a_route_with_a_proxy(app, peer, raw_peer, seen, look):
    server, door = await peer(), await raw_peer(Proxy())
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}")(look)
    assert await run(app)
    assert seen == [ParsingConnection]


@pytest.mark.parametrize(("no_proxy", "connection"), [("", ParsingConnection), (HOST, PicowsConnection)])
async def test_a_proxy_of_the_system(app, peer, raw_peer, no_proxies, monkeypatch, seen, look, no_proxy, connection):
    server, door = await peer(), await raw_peer(Proxy())
    monkeypatch.setenv("http_proxy", f"http://{HOST}:{door.port}")
    monkeypatch.setenv("no_proxy", no_proxy)
    app.ws(server.url)(look)
    assert await run(app)
    assert seen == [connection]
    assert bool(door.count) is (connection is ParsingConnection)


async def test_without_a_proxy_of_the_system_no_proxy_alone_is_none(app, peer, no_proxies, monkeypatch, seen, look):
    monkeypatch.setenv("no_proxy", "example.com")
    server = await peer()
    app.ws(server.url)(look)
    assert await run(app)
    assert seen == [PicowsConnection]


async def test_a_redirect_and_from_then_on_without_asking_picows(app, peer, seen):
    there = await peer(closing(1000, 1000))
    here = await peer(refuse=[(302, {"Location": there.url})] * 9)

    @app.ws(here.url, reconnect=True, max_retries=5)
    async def read(ws):
        seen.append(type(transport_of(ws).connection))
        if ws.attempt == 2:
            return
        async for _ in ws:
            pass

    assert await run(app)
    assert seen == [ParsingConnection] * 3
    assert len(here.asked) == 4  # once by picows


async def test_another_url_is_for_picows_again(app, peer, seen):
    there = await peer(closing(1000))
    here = await peer(refuse=[(302, {"Location": there.url})] * 2)
    urls = iter((here.url, there.url))

    @app.ws(lambda: next(urls), reconnect=True, max_retries=5)
    async def read(ws):
        seen.append(type(transport_of(ws).connection))
        if ws.attempt == 1:
            return
        async for _ in ws:
            pass

    assert await run(app)
    assert seen == [ParsingConnection, PicowsConnection]


async def test_an_answer_that_is_right_and_unusual(app, raw_peer, seen):
    """RFC 9110 section 7.6.1: Connection may have several options."""

    async def behave(reader, writer, number):
        written = []
        write, writer.write = writer.write, written.append
        await shake_hands(reader, writer)
        write(b"".join(written).replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"))
        write(frame(b"hello"))
        await read_close(reader)

    server = await raw_peer(behave)

    @app.ws(server.url)
    async def read(ws):
        seen.extend([type(transport_of(ws).connection), await ws.recv_str()])

    assert await run(app)
    assert seen == [ParsingConnection, "hello"]
    assert server.count == 2


async def test_it_is_said_once_of_a_route(app, peer, log):
    there = await peer(closing(1000, 1000))
    here = await peer(refuse=[(302, {"Location": there.url})] * 9)

    @app.ws(f"{here.url}/?token=opensesame", name="feed", reconnect=True, max_retries=5)
    async def read(ws):
        if ws.attempt == 2:
            return
        async for _ in ws:
            pass

    assert await run(app)
    said = [record for record in log.records if "not picows" in record.getMessage()]
    assert [record.levelno for record in said] == [logging.WARNING]
    assert said[0].getMessage().startswith("Route feed is connected by websockets, not picows: picows says: ")
    assert "opensesame" not in said[0].getMessage()


@pytest.mark.parametrize("error", [AttributeError("gone"), TypeError("new argument"), AssertionError()])
async def test_whatever_else_goes_wrong_inside_picows(app, peer, monkeypatch, seen, look, error):
    async def broken(*args, **options):
        raise error

    monkeypatch.setattr(connecting, "ws_connect", broken)
    server = await peer()
    app.ws(server.url)(look)
    assert await run(app)
    assert seen == [ParsingConnection]


@pytest.mark.parametrize(
    ("status", "words", "may_pass"),
    [
        ("520 Web Server Returned an Unknown Error", "520 Web Server Returned an Unknown Error", True),
        ("599", "599", True),
        ("404 ", "404", False),
        ("429 Slow Down", "429 Slow Down", True),
    ],
)
async def test_a_status_is_understood_at_once_registered_or_not(app, raw_peer, log, status, words, may_pass):
    async def behave(reader, writer, number):
        await read_request(reader)
        writer.write(f"HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n".encode())
        await silence(reader, writer)

    server = await raw_peer(behave)
    app.ws(server.url, reconnect=True, max_retries=1)(once)
    assert not await run(app)
    assert log.endings == [f"the server answered {words}"] * (2 if may_pass else 1)
    assert server.count == len(log.endings)


# What must not be left behind


async def test_a_handshake_that_is_given_up_leaves_no_connection(app, raw_peer):
    gone = []

    async def behave(reader, writer, number):
        await silence(reader, writer)
        gone.append(number)

    server = await raw_peer(behave)
    app.ws(server.url, open_timeout=60)(once)
    async with running(app, drain_seconds=0.1) as it:
        await soon(lambda: server.count)
        it.stop()
        assert await it.ended()
    await soon(lambda: gone)


async def test_so_does_one_that_timed_out(app, raw_peer, log):
    gone = []

    async def behave(reader, writer, number):
        await silence(reader, writer)
        gone.append(number)

    server = await raw_peer(behave)
    app.ws(server.url, open_timeout=0.05)(once)
    assert not await run(app)
    assert log.endings == ["timed out during opening handshake"]
    await soon(lambda: gone == [0])


async def test_open_timeout_is_for_connecting_too(app, library, log, monkeypatch):
    async def never(host, port):
        await asyncio.Event().wait()

    monkeypatch.setattr(connecting, "_open_tcp", never)
    app.ws(f"ws://{HOST}:1", open_timeout=0.05)(once)
    assert not await run(app)
    assert log.endings == ["timed out during opening handshake"]


@pytest.mark.parametrize(
    "bad", [frame(b"", 3), frame(b"x" * 2000, 2), frame(b"\xff"), b"\xc1\x01x", frame(b"\x03", 8)]
)
async def test_a_peer_that_breaks_the_protocol_leaves_nothing_that_asyncio_complains_about(app, raw_peer, bad):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(bad)
        await silence(reader, writer)

    server = await raw_peer(behave)

    app.ws(server.url, max_size=1000, close_timeout=0.2)(by_async_for)
    await run(app)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_host_with_several_addresses_is_tried_at_each(app, peer, monkeypatch, look, seen):
    server = await peer()
    loop = asyncio.get_running_loop()
    dead = socket.socket()  # bound, and nobody listens
    dead.bind((HOST, 0))

    async def both(host, port, **options):
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, dead.getsockname()), (*kind, (HOST, server.port))]

    monkeypatch.setattr(loop, "getaddrinfo", both)
    app.ws(f"ws://example.test:{server.port}")(look)
    assert await run(app)
    assert seen == [PicowsConnection]
    assert server.visits[0].headers["Host"] == f"example.test:{server.port}"
    dead.close()


async def test_a_host_that_refuses_at_every_address_says_so(app, library, log):
    with socket.socket() as dead:
        dead.bind((HOST, 0))
        url = f"ws://{HOST}:{dead.getsockname()[1]}"
        app.ws(url)(once)
        assert not await run(app)
    assert "Connect call failed" in log.endings[0]


def test_a_picows_that_is_too_old_is_none(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.1.3")
    with pytest.raises(ImportError, match=r"picows 2\.1\.3 is too old, 2\.2 is the first that works"):
        importlib.reload(connecting)
    monkeypatch.undo()
    importlib.reload(connecting)
