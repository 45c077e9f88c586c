"""Connecting: what the handshake offers, TLS, proxies, and the timeout."""

from __future__ import annotations

import base64
import ssl

import pytest

from django_fastws.clients import connecting as opening
from tests.clients.handlers import once
from tests.clients.proxies import Proxy, Socks

from .conftest import run
from .peers import (
    HOST,
    silence,
)

LIBRARIES = ("websockets", "picows", "plain")


# What the handshake offers


async def test_subprotocols_are_offered_in_order_and_the_agreed_one_is_told(app, peer):
    server = await peer(subprotocols=["v1", "v2"])
    agreed = []

    @app.ws(server.url, subprotocols=("v3", "v2", "v1"))
    async def look(ws):
        agreed.append(ws.subprotocol)

    assert await run(app)
    assert server.visits[0].headers["Sec-WebSocket-Protocol"] == "v3, v2, v1"
    assert agreed == [server.visits[0].connection.subprotocol]
    assert agreed[0] in ("v1", "v2")


async def test_origin_is_sent(app, peer):
    server = await peer(origins=["https://example.com"])
    app.ws(server.url, origin="https://example.com")(once)
    assert await run(app)
    assert server.visits[0].headers["Origin"] == "https://example.com"


async def test_without_origin_there_is_none(app, peer):
    server = await peer()
    app.ws(server.url)(once)
    assert await run(app)
    assert "Origin" not in server.visits[0].headers


@pytest.mark.parametrize(("options", "is_offered"), [({}, True), ({"compression": None}, False)])
async def test_compression_is_offered_unless_it_is_none(app, peer, options, is_offered):
    server = await peer()
    got = []

    @app.ws(server.url, **options)
    async def converse(ws):
        await ws.send("x" * 100_000)
        got.append(await ws.recv_str())

    assert await run(app)
    assert ("permessage-deflate" in server.visits[0].headers.get("Sec-WebSocket-Extensions", "")) is is_offered
    assert bool(server.visits[0].connection.protocol.extensions) is is_offered
    assert got == ["x" * 100_000]


async def test_user_and_password_of_the_url_are_sent_as_basic_authorization(app, peer):
    server = await peer()
    app.ws(server.url.replace("//", "//ada:opensesame@"))(once)
    assert await run(app)
    wanted = base64.b64encode(b"ada:opensesame").decode()
    assert server.visits[0].headers["Authorization"] == f"Basic {wanted}"


# TLS


async def test_a_private_authority_is_accepted_through_ssl(app, peer, certificates):
    server = await peer(ssl=certificates.server())
    app.ws(server.url, ssl=certificates.client())(once)
    assert await run(app)


@pytest.mark.parametrize(
    ("expired", "trusts", "words"),
    [
        (False, False, "bad certificate: unable to get local issuer certificate"),
        (True, True, "bad certificate: certificate has expired"),
    ],
)
async def test_a_bad_certificate_ends_the_route_at_once(app, peer, certificates, log, expired, trusts, words):
    server = await peer(ssl=certificates.server(expired=expired))
    context = certificates.client() if trusts else None
    app.ws(server.url, ssl=context, reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert (log.endings, server.visits) == ([words], [])


async def test_a_certificate_of_another_name_is_bad(app, peer, certificates, log):
    server = await peer(ssl=certificates.server())
    url = server.url.replace(HOST, "localhost")
    app.ws(url, ssl=certificates.client(), reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert log.endings[0].startswith("bad certificate: ")


async def test_tls_to_a_server_without_it_may_pass(app, peer, log):
    """It is what a proxy says whose backend is being restarted."""
    server = await peer()
    app.ws(server.url.replace("ws:", "wss:"), ssl=ssl.create_default_context(), reconnect=True, max_retries=1)(once)
    assert not await run(app)
    assert len(log.endings) == 2


# A proxy


async def test_a_proxy_is_used(app, peer, raw_peer):
    server, proxy = await peer(), Proxy()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://ada:open%40sesame%3A@{HOST}:{door.port}")(once)
    assert await run(app)
    assert proxy.requests[0].startswith(f"CONNECT {HOST}:{server.port} HTTP/1.1\r\n")
    assert base64.b64encode(b"ada:open@sesame:").decode() in proxy.requests[0]
    assert len(server.visits) == 1


async def test_tls_goes_through_a_proxy(app, peer, raw_peer, certificates):
    server, proxy = await peer(ssl=certificates.server()), Proxy()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", ssl=certificates.client())(once)
    assert await run(app)
    assert len(proxy.requests) == 1


async def test_a_socks_proxy_is_used(app, peer, raw_peer):
    server, proxy = await peer(), Socks()
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"socks5://{HOST}:{door.port}")(once)
    assert await run(app)
    assert proxy.asked == [(HOST, server.port)]


async def test_a_socks_proxy_without_the_package_for_it_ends_the_route_at_once(app, peer, monkeypatch, log):
    async def without(*args, **options):
        raise ImportError("connecting through a SOCKS proxy requires python-socks")

    monkeypatch.setattr(opening, "connect", without)
    server = await peer()
    app.ws(server.url, proxy=f"socks5://{HOST}:1", reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert log.endings == ["connecting through a SOCKS proxy requires python-socks"]


@pytest.mark.parametrize(("proxy", "is_used"), [(True, True), (None, False), (False, False)])
async def test_the_systems_proxy_is_used_unless_proxy_says_no(app, peer, raw_peer, monkeypatch, proxy, is_used):
    server, there = await peer(), Proxy()
    door = await raw_peer(there)
    for name in ("no_proxy", "NO_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", f"http://{HOST}:{door.port}")
    app.ws(server.url, proxy=proxy)(once)
    assert await run(app)
    assert bool(there.requests) is is_used


@pytest.mark.parametrize("status", [502, 503, 504, 429])
async def test_a_proxys_status_that_may_pass_is_retried(app, peer, raw_peer, log, status):
    server, proxy = await peer(), Proxy(status)
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == [f"the proxy answered {status} whatever"] * 3


async def test_a_proxy_that_hangs_up_is_asked_again(app, peer, raw_peer, log):
    server, proxy = await peer(), Proxy(cut=True)
    door = await raw_peer(proxy)
    app.ws(server.url, proxy=f"http://{HOST}:{door.port}", reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == ["the proxy closed the connection without an answer"] * 3


@pytest.mark.parametrize(
    ("proxy", "status", "words"),
    [
        ("http://ada:opensesame@{door}", 407, "the proxy answered 407 whatever"),
        ("ftp://ada:opensesame@{door}", 200, "isn't a valid proxy"),
    ],
)
async def test_a_proxy_that_cannot_work_ends_the_route_at_once(app, peer, raw_peer, log, proxy, status, words):
    server, door = await peer(), await raw_peer(Proxy(status))
    app.ws(server.url, proxy=proxy.format(door=f"{HOST}:{door.port}"), reconnect=True, max_retries=-1)(once)
    assert not await run(app)
    assert len(log.endings) == 1
    assert words in log.endings[0]
    assert "opensesame" not in log.text


# Limits of time


async def test_open_timeout_gives_up_on_a_peer_that_never_answers_the_handshake(app, raw_peer, log):
    server = await raw_peer(silence)
    app.ws(server.url, open_timeout=0.3, reconnect=True, max_retries=2)(once)
    assert not await run(app)
    assert log.endings == ["timed out during opening handshake"] * 3
    assert server.count == 3
