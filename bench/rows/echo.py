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
from ..scale import Scale

__all__ = ["EchoOnDaphne", "EchoOnUvicorn"]

_WINDOW = 4
_SITES = {
    "ours": "ours",
    "Channels": "channels_peer",
    "raw ASGI": "raw",
    "raw ASGI with orjson": "raw:with_orjson",
    "Starlette": "starlette_peer",
}


class _Echo:
    """The sockets of one server."""

    def __init__(self, server: ASGIServer, bench: Bench, stack: ExitStack) -> None:
        self._server = server
        self._swarm = stack.enter_context(Swarm())
        self._members = self._swarm.connect(server.listens, ["/echo"] * bench.scale.echo_sockets)

    def messages(self, seconds: float) -> Sample:
        """Messages that come back in a second, measured for so long."""
        sent = encoded(MESSAGE)
        with Watch([self._server], []) as watch:
            rate = self._swarm.answer(self._members, client_frame(sent), len(server_frame(sent)), _WINDOW, seconds)
        return watch.sample(rate)


class _EchoRow(Row):
    """Any server."""

    kind: ClassVar[str]
    peers: ClassVar[tuple[str, ...]]
    unit = "messages/s"

    def work(self, scale: Scale) -> str:
        return f"JSON echo, {scale.echo_sockets} sockets with {_WINDOW} messages under way on each; {self.kind}"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {
            peer: ASGIServer(self.kind, _SITES[peer], bench.cores.server, bench.redis)
            for peer in self.peers
            if peer != "Starlette" or find_spec("starlette")
        }
        start(stack, servers.values())
        return {peer: partial(_echo, servers.get(peer), bench, stack) for peer in self.peers}


def _echo(server: ASGIServer | None, bench: Bench, stack: ExitStack) -> Measure:
    if server is None:
        raise Skipped("it is not installed: `pip install --group bench`")
    echo = _Echo(server, bench, stack)
    echo.messages(bench.scale.seconds / 4)  # to warm up
    return partial(echo.messages, bench.scale.seconds)


class EchoOnDaphne(_EchoRow):
    """On stock daphne."""

    name = "echo-daphne"
    kind = "daphne"
    peers = ("ours", "Channels", "raw ASGI", "raw ASGI with orjson")
    targets = (Target("Channels", 3),)


class EchoOnUvicorn(_EchoRow):
    """On stock uvicorn."""

    name = "echo-uvicorn"
    kind = "uvicorn"
    peers = ("ours", "Channels", "raw ASGI", "raw ASGI with orjson", "Starlette")
    targets = (Target("Channels", 4.5), Target("raw ASGI", 0.95), Target("Starlette", 1.2))
