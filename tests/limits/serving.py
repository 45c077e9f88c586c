"""Routes under limits, in the test's own process, and how their handshakes end."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from django_fastws.asgi import get_asgi_application
from django_fastws.testing import HandshakeDenied, connect
from tests.support import handshakes
from tests.support.handshakes import EVERY_KIND, AsyncEcho, SyncEcho, echo, serve

__all__ = ["ADA", "BOB", "EVERY_KIND", "AsyncEcho", "SyncEcho", "application", "denial", "echo", "outcome", "serve"]

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")


def application(host="192.0.2.1"):
    """All routes, for clients of this address."""
    inner = get_asgi_application()

    async def from_there(scope, receive, send):
        await inner({**scope, "client": None if host is None else (host, 5000)}, receive, send)

    return from_there


async def outcome(path="/x", application=application, host="192.0.2.1", **options):
    """101 where the handshake is accepted, else the status and the text of the denial."""
    return await handshakes.outcome(path, application(host), **options)


async def denial(path="/x", host="192.0.2.1", **options):
    with pytest.raises(HandshakeDenied) as raised:
        async with connect(path, application=application(host), **options):
            pass
    return raised.value
