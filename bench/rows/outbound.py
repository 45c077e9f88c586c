"""Sockets that go out: a flood through one, and many that only wait."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import ClassVar

from tests.support.processes import HOST, free_port

from ..load import Disconnected
from ..messages import MESSAGE, encoded, server_frame
from ..programs import Program, PythonProgram, site_environment, start
from ..row import Bench, Make, Measure, Row, Sample, Skipped, Target, Watch, calibrate
from ..sites.flooded import LIBRARIES
from ..sizes import Scale

__all__ = ["OutboundConnect", "OutboundFlood", "OutboundMemory", "OutboundPicows"]

_CHUNK = 1_000  # messages
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_LIMIT = 60.0  # seconds, for anything


class _Flood:
    """A server that floods its one client with frames that are ready-made.

    Args:
        client: makes the client, from the URL that it is to connect to.
    """

    def __init__(self, client: Callable[[str], Program], stack: ExitStack) -> None:
        with socket.create_server((HOST, 0)) as listener:
            self._client = client(f"ws://{HOST}:{listener.getsockname()[1]}/")
            start(stack, [self._client])
            self._socket = stack.enter_context(self._accept(listener))
        self._socket.settimeout(_LIMIT)
        self._shake_hands()
        frame = server_frame(encoded(MESSAGE))
        self._frames = {count: frame * count for count in (1, _CHUNK)}

    def _accept(self, listener: socket.socket) -> socket.socket:
        listener.settimeout(0.2)
        for _ in range(round(_LIMIT / 0.2)):
            with contextlib.suppress(TimeoutError):
                return listener.accept()[0]
            if self._client.process.poll() is not None:
                break
        raise RuntimeError(f"the client has not connected:\n{self._client.log()}")

    def _shake_hands(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._receive()
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
        accept = base64.b64encode(hashlib.sha1(headers[b"sec-websocket-key"] + _GUID).digest())
        self._socket.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )

    def _receive(self) -> bytes:
        data = self._socket.recv(4096)
        if not data:
            raise Disconnected(f"the client has closed its socket\n{self._client.log()}")
        return data

    def _flood(self, chunks: int) -> Watch:
        with Watch([self._client], []) as watch:
            self._socket.sendall(server_frame(b"%d" % (chunks * _CHUNK)))
            chunk = self._frames[_CHUNK]
            for _ in range(chunks):
                self._socket.sendall(chunk)
            self._receive()  # all of them have come
        return watch

    def calibrate(self, seconds: float) -> None:
        """Find out how many messages take about so long."""
        self._chunks = calibrate(lambda chunks: self._flood(chunks).seconds, seconds, 1)

    def messages(self) -> Sample:
        """Messages in a second."""
        watch = self._flood(self._chunks)
        count = self._chunks * _CHUNK
        return watch.sample(count / watch.seconds, deliveries=count)


class _Flooded(Row):
    """Clients that are flooded."""

    unit = "messages/s"
    clients: ClassVar[tuple[str, ...]]

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        return {name: partial(self._made, name, bench, stack) for name in self.clients}

    @staticmethod
    def _made(name: str, bench: Bench, stack: ExitStack) -> Measure:
        if "picows" in name and find_spec("picows") is None:
            raise Skipped("picows is not installed: `pip install --group bench`")

        def client(url: str) -> Program:
            if name in LIBRARIES:
                return PythonProgram(["bench.sites.flooded", name, url], bench.cores.server)
            library = "picows" if "picows" in name else "websockets"
            environment = site_environment("ours", bench.redis) | {
                "BENCH_CONSUMERS": "feed",
                "BENCH_LIBRARY": library,
                "BENCH_URL": url,
            }
            return PythonProgram(["django", "runws_clients"], bench.cores.server, environment=environment)

        flood = _Flood(client, stack)
        flood.calibrate(bench.scale.seconds)
        return flood.messages


class OutboundFlood(_Flooded):
    """One route, connected by websockets."""

    name = "outbound"
    clients = ("ours", "websockets")
    targets = (Target("websockets", 0.9),)

    def work(self, scale: Scale) -> str:
        return "messages through one outbound route's `async for`, flooded by a local server"


class OutboundPicows(_Flooded):
    """One route, connected by picows."""

    name = "outbound-picows"
    clients = ("ours with picows", "websockets", "picows")
    targets = (Target("websockets", 3),)

    def work(self, scale: Scale) -> str:
        return "the same with the extra `django-fastws[picows]`"

    def subject(self, scale: Scale) -> str:
        return self.clients[0]


class _Many(Row):
    """Many connections in one process; each measurement is a process of its own."""

    less_is_better = True
    rounds = 3
    figure: str

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        port = free_port()
        server = PythonProgram(["bench.sites.many", "server", str(port)], bench.cores.load, port=port)
        start(stack, [server])
        return {
            "ours": partial(self._made, bench, "routes", port),
            "websockets": partial(self._made, bench, "websockets", port),
        }

    def _made(self, bench: Bench, what: str, port: int) -> Measure:
        return partial(self._measure, bench, what, port)  # in a new process each time

    def _measure(self, bench: Bench, what: str, port: int) -> Sample:
        command = ["bench.sites.many", what, str(port), str(bench.scale.routes)]
        environment = site_environment("ours", bench.redis)
        with PythonProgram(command, bench.cores.server, environment=environment, talks=True) as client:
            return Sample(json.loads(client.hear())[self.figure])


class OutboundConnect(_Many):
    """How long it takes."""

    name = "outbound-connect"
    unit = "s"
    digits = 2
    figure = "seconds"

    def work(self, scale: Scale) -> str:
        return f"{scale.routes:,} outbound routes in one process, until all are connected"


class OutboundMemory(_Many):
    """What it costs."""

    name = "outbound-memory"
    unit = "kB/socket"
    digits = 1
    figure = "kilobytes"

    def work(self, scale: Scale) -> str:
        return f"memory of each of {scale.routes:,} outbound routes in one process"
