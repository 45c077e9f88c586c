"""SSL contexts of routes that name none: shared, and those of sockets made anew from time to time."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import pytest

from django_fastws.clients import ssl_contexts
from django_fastws.clients.ssl_contexts import http_context, socket_context

from .conftest import run


@pytest.fixture
def made(monkeypatch):
    """The contexts that are made for sockets."""
    contexts = []

    def make():
        contexts.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return contexts[-1]

    monkeypatch.setattr(ssl_contexts.ssl, "create_default_context", make)
    ssl_contexts._socket_context.cache_clear()
    yield contexts
    ssl_contexts._socket_context.cache_clear()


async def once(ws):
    await ws.send("once")


async def test_routes_without_a_context_share_one(app, certificates, peer, made):
    server = await peer(ssl=certificates.server())
    for number in range(5):
        app.ws(server.url, name=f"feed {number}")(once)
    assert not await run(app)
    assert len(made) == 1


def test_that_of_sockets_is_made_anew_after_an_hour(made, monkeypatch):
    seconds = ssl_contexts.time.monotonic()
    first = socket_context()
    monkeypatch.setattr(ssl_contexts, "time", SimpleNamespace(monotonic=lambda: seconds + 3601))
    second = socket_context()
    assert second is not first
    assert socket_context() is second


def test_that_of_requests_stays_and_checks_certificates():
    assert http_context() is http_context()
    assert http_context().verify_mode is ssl.CERT_REQUIRED
    assert http_context().check_hostname
