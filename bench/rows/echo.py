"""JSON echo: what a socket says comes back."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import ClassVar

from ..load import Swarm
from ..messages import MESSAGE, client_frame, encoded, server_frame
from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Sample, Skipped, Target, Watch
from ..sizes import Scale

__all__ = [
    "Echo",
    "EchoOnDaphne",
    "EchoOnRunwsServer",
    "EchoOnUvicorn",
    "OneEchoOnDaphne",
    "OneEchoOnRunwsServer",
    "OneEchoOnUvicorn",
]

_WINDOW = 4
_SITES = {
    "ours": "ours",
    "Channels": "channels_peer",
    "raw ASGI": "raw",
    "raw ASGI with orjson": "raw:with_orjson",
    "Starlette": "starlette_peer",
}


class Echo:
    """The sockets of one server.

    Args:
        window: messages under way on each.
    """

    def __init__(self, server: ASGIServer, bench: Bench, stack: ExitStack, window: int = _WINDOW) -> None:
        self._server = server
        self._window = window
        self._swarm = stack.enter_context(Swarm())
        self._members = self._swarm.connect(server.listens, ["/echo"] * bench.scale.echo_sockets)

    def messages(self, seconds: float) -> Sample:
        """Messages that come back in a second, measured for so long."""
        sent = encoded(MESSAGE)
        with Watch([self._server], []) as watch:
            rate = self._swarm.answer(
                self._members, client_frame(sent), len(server_frame(sent)), self._window, seconds
            )
        return watch.sample(rate, deliveries=rate * watch.seconds)


class _EchoRow(Row):
    """Any server."""

    kind: ClassVar[str]
    #: The server of the others, where they cannot have ours.
    kind_of_others: ClassVar[str | None] = None
    peers: ClassVar[tuple[str, ...]] = ("ours", "Channels", "raw ASGI", "raw ASGI with orjson")
    window: ClassVar[int] = _WINDOW
    unit = "messages/s"

    def work(self, scale: Scale) -> str:
        messages = "message" if self.window == 1 else "messages"
        servers = self.kind + (f", the others on {self.kind_of_others}" if self.kind_of_others else "")
        return f"JSON echo, {scale.echo_sockets} sockets with {self.window} {messages} under way on each; {servers}"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {
            peer: ASGIServer(
                self.kind if peer == "ours" else self.kind_of_others or self.kind,
                _SITES[peer],
                bench.cores.server,
                bench.redis,
            )
            for peer in self.peers
            if peer != "Starlette" or find_spec("starlette")
        }
        start(stack, servers.values())
        return {peer: partial(self._echo, servers.get(peer), bench, stack) for peer in self.peers}

    def _echo(self, server: ASGIServer | None, bench: Bench, stack: ExitStack) -> Measure:
        if server is None:
            raise Skipped("it is not installed: `pip install --group bench`")
        echo = Echo(server, bench, stack, self.window)
        echo.messages(bench.scale.seconds / 4)  # to warm up
        return partial(echo.messages, bench.scale.seconds)


class EchoOnDaphne(_EchoRow):
    """On stock daphne."""

    name = "echo-daphne"
    kind = "daphne"
    targets = (Target("Channels", 3),)


class EchoOnRunwsServer(_EchoRow):
    """On this package's own server."""

    name = "echo-runws"
    kind = "runws_server"
    kind_of_others = "daphne"
    targets = (Target("Channels", 3),)


class EchoOnUvicorn(_EchoRow):
    """On stock uvicorn."""

    name = "echo-uvicorn"
    kind = "uvicorn"
    peers = (*_EchoRow.peers, "Starlette")
    targets = (Target("Channels", 4.5), Target("raw ASGI", 0.95), Target("Starlette", 1.2))


class OneEchoOnDaphne(EchoOnDaphne):
    """As a client that waits for each answer."""

    name = "echo-daphne-one"
    window = 1
    targets = ()


class OneEchoOnRunwsServer(EchoOnRunwsServer):
    """As a client that waits for each answer."""

    name = "echo-runws-one"
    window = 1
    targets = ()


class OneEchoOnUvicorn(EchoOnUvicorn):
    """As a client that waits for each answer."""

    name = "echo-uvicorn-one"
    window = 1
    targets = (Target("Starlette", 1.2),)
