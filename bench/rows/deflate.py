"""Compression: what an echo and a delivery cost the server, beside another one's."""

from __future__ import annotations

import socket
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from tests.support.processes import HOST

from ..load import Disconnected, Swarm, handshake
from ..messages import client_frame, encoded
from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Sample, Watch
from ..sizes import Scale
from ..tls_load import shake_hands
from .room import Room

__all__ = ["DeflateEcho", "DeflateFanOut"]

_WINDOW = 4
_TURNS = 20
_FEWEST_BYTES = 150  # of the message as it comes back
#: What is said: 853 bytes of JSON, of words that come again now and then.
_WORDS = [
    "Shall we meet at seven, at the old bridge?",
    "Bring tea, two cups and the letter that came on Monday.",
    "I have read it twice by now;",
    "nobody here believes a word of it,",
    "and yet the river was higher than ever.",
]
_SAID = {
    "user": "ada",
    "text": " ".join(f"{word} {number * 7919 % 10007}" for number, word in enumerate(_WORDS * 5))[:829],
}
_OPTIONS = {"runws_server": ["--ws-per-message-deflate"], "uvicorn": []}


def _said() -> bytes:
    """The message as a client sends it, compressed."""
    deflater = zlib.compressobj(wbits=-12)
    payload = (deflater.compress(encoded(_SAID)) + deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]
    return b"\xc1" + client_frame(payload)[1:]


class _DeflateSwarm(Swarm):
    """Sockets that have agreed on compression. What comes back is counted, and not decompressed."""

    def connect(self, port: int, paths: Sequence[str], hello: bytes = b"") -> list[int]:
        return [self._open(port, path, hello) for path in paths]

    def _open(self, port: int, path: str, hello: bytes) -> int:
        sock = socket.create_connection((HOST, port), timeout=self.patience)
        offer = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        shake_hands(sock, handshake(port, path)[:-2] + offer, hello)
        return self._add(sock)

    def reply_size(self, member: int) -> int:
        """Bytes of what comes back for the message."""
        self.send(member, _said())
        while self._take(self.patience) and self._got[member] < 4:
            pass
        size, self._got[member] = self._got[member], 0
        if size < _FEWEST_BYTES:
            raise Disconnected("the server has closed a socket, or sends something else")
        return size


class _DeflateRow(Row):
    """Both servers."""

    unit = "µs of the server's processor"
    less_is_better = True
    digits = 1

    def subject(self, scale: Scale) -> str:
        return "runws_server"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        servers = {}
        for kind, options in _OPTIONS.items():
            servers[kind] = ASGIServer(kind, "ours", bench.cores.server, bench.redis, cluster=f"deflate-{kind}")
            servers[kind].command += options
        start(stack, servers.values())
        swarms = {kind: stack.enter_context(_DeflateSwarm()) for kind in servers}
        return {kind: partial(self._make, server, swarms[kind], bench, stack) for kind, server in servers.items()}

    def _make(self, server: ASGIServer, swarm: _DeflateSwarm, bench: Bench, stack: ExitStack) -> Measure:
        """Open the sockets; returns what measures."""
        raise NotImplementedError


class DeflateEcho(_DeflateRow):
    """JSON that comes back."""

    name = "deflate-echo"

    def work(self, scale: Scale) -> str:
        return (
            f"a compressed JSON echo of {len(encoded(_SAID))} bytes, {scale.echo_sockets} sockets with {_WINDOW} "
            "messages under way on each"
        )

    def _make(self, server: ASGIServer, swarm: _DeflateSwarm, bench: Bench, stack: ExitStack) -> Measure:
        members = swarm.connect(server.listens, ["/echo"] * bench.scale.echo_sockets)
        size = swarm.reply_size(members[0])

        def measure(seconds: float) -> Sample:
            with Watch([server], []) as watch:
                rate = swarm.answer(members, _said(), size, _WINDOW, seconds)
            return watch.sample(watch.busy / rate * 1e6)

        measure(bench.scale.seconds / 4)
        return partial(measure, bench.scale.seconds)


class _DeflateRoom(Room):
    """A room whose members have agreed on compression."""

    size = 0

    def _burst(self, broadcasts: int) -> bytes:
        return _said() * broadcasts

    def _heard(self, broadcasts: int) -> int:
        return self.size * broadcasts


class DeflateFanOut(_DeflateRow):
    """One broadcast at a time."""

    name = "deflate-fanout"

    def work(self, scale: Scale) -> str:
        return (
            f"a delivery of compressed broadcasts of {len(encoded(_SAID))} bytes to {scale.members:,} members, one "
            "after the other"
        )

    def _make(self, server: ASGIServer, swarm: _DeflateSwarm, bench: Bench, stack: ExitStack) -> Measure:
        room = _DeflateRoom([server], [bench.redis], stack, swarm)
        room.join(1)
        room.size = swarm.reply_size(room.members[0])
        room.join(bench.scale.members - 1)
        room.processor_microseconds(3)

        def measure() -> Sample:
            sample = room.processor_microseconds(_TURNS)
            return Sample(sample.value / len(room.members), sample.busy, sample.load)

        return measure
