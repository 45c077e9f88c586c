"""Handshakes: connect, get a first message, close; by users who are logged in, and by nobody in particular."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from tests.support.processes import free_port

from ..accounts import database_settings, make_accounts
from ..programs import ASGIServer, Program, PythonProgram, site_environment, start
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch, calibrate
from ..sizes import Scale
from ..visitors import visit

__all__ = [
    "AnonymousOnDaphne",
    "AnonymousOnRunwsServer",
    "AnonymousOnUvicorn",
    "UsersOnDaphne",
    "UsersOnRunwsServer",
    "UsersOnUvicorn",
]

_PATH = "/hello"
_WEBSOCKETS = "websockets"
_SITES = {"ours": "ours", "Channels": "channels_peer", "raw ASGI": "raw"}
_FIRST = 20  # connections, and the least that are measured


class _HandshakeRow(Row):
    """Any server."""

    kind: ClassVar[str]
    peers: ClassVar[Sequence[str]]
    are_users: ClassVar[bool] = False
    unit = "handshakes/s"

    def work(self, scale: Scale) -> str:
        who = "of users with a session in the database" if self.are_users else "without a session"
        return f"handshakes {who}, each with a first message and a close, 32 under way; {self.kind}"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="fastws-bench-")))
        settings = database_settings(directory / "accounts.sqlite3")
        headers = [""]
        if self.are_users:
            environment = site_environment("raw", bench.redis) | {"BENCH_SETTINGS": json.dumps(settings)}
            headers = [f"Cookie: sessionid={key}\r\n" for key in make_accounts(environment)]
        servers: dict[str, Program] = {peer: self._server(peer, bench, settings) for peer in self.peers}
        start(stack, servers.values())
        return {peer: partial(_made, server, headers, bench) for peer, server in servers.items()}

    def _server(self, peer: str, bench: Bench, settings: Mapping[str, Any]) -> Program:
        if peer == _WEBSOCKETS:
            port = free_port()
            return PythonProgram(["bench.sites.websockets_peer", str(port)], bench.cores.server, port=port)
        kind = "daphne" if self.kind == "runws_server" and peer != "ours" else self.kind
        return ASGIServer(kind, _SITES[peer], bench.cores.server, bench.redis, settings=settings)


def _made(server: Program, headers: Sequence[str], bench: Bench) -> Measure:
    def take(count: int) -> float:
        return count / visit(server.listens, _PATH, headers, count)

    count = calibrate(take, bench.scale.seconds, _FIRST)

    def measure() -> Sample:
        with Watch([server], []) as watch:
            rate = visit(server.listens, _PATH, headers, count)
        return watch.sample(rate)

    return measure


class _UserRow(_HandshakeRow):
    """Users who are logged in, with a session and an account in the database."""

    are_users = True
    peers = ("ours", "Channels")
    targets = (Target("Channels", 2.5),)


class UsersOnDaphne(_UserRow):
    """On stock daphne."""

    name = "handshakes-user-daphne"
    kind = "daphne"
    targets = (Target("Channels", 1.5),)


class UsersOnRunwsServer(_UserRow):
    """On the server of this package; Channels is on the one that it hardens."""

    name = "handshakes-user-runws"
    kind = "runws_server"


class UsersOnUvicorn(_UserRow):
    """On stock uvicorn."""

    name = "handshakes-user-uvicorn"
    kind = "uvicorn"


class _AnonymousRow(_HandshakeRow):
    """Clients without a cookie."""

    peers = ("ours", "Channels", "raw ASGI", _WEBSOCKETS)


class AnonymousOnDaphne(_AnonymousRow):
    """On stock daphne."""

    name = "handshakes-anonymous-daphne"
    kind = "daphne"
    targets = (Target("raw ASGI", 0.6),)


class AnonymousOnRunwsServer(_AnonymousRow):
    """On the server of this package; the others are on the one that it hardens."""

    name = "handshakes-anonymous-runws"
    kind = "runws_server"
    targets = (Target("raw ASGI", 1.2),)


class AnonymousOnUvicorn(_AnonymousRow):
    """On stock uvicorn."""

    name = "handshakes-anonymous-uvicorn"
    kind = "uvicorn"
    targets = (Target("raw ASGI", 0.5),)
