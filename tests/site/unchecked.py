"""The applications on a server of daphne's that does not look after them now and then: what ends, ends by itself."""

from __future__ import annotations

from daphne.server import Server

from django_fastws.server.server import Server as HardenedServer
from tests.server.plain import application as plain
from tests.site.asgi import application

__all__ = ["application", "plain"]

for kind in (Server, HardenedServer):
    kind.application_checker = kind.timeout_checker = lambda server: None
