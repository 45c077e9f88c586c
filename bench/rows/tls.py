"""TLS: what an echo and a delivery cost the server, beside another one's."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import ClassVar

from tests.clients.certificates import Certificates
from tests.support.processes import HOST

from ..load import Swarm
from ..messages import MESSAGE, client_frame, encoded, server_frame
from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Sample, Target, Watch
from ..sizes import Scale
from ..tls_load import TLSSwarm
from .room import Room

__all__ = ["TLSEcho", "TLSFanOut"]

_KINDS = {"runws_server": "runws_server", "uvicorn": "uvicorn"}
_WINDOW = 4
_TURNS = 20


class TLSServer(ASGIServer):
    """A server that talks TLS.

    Args:
        kind: runws_server or uvicorn; the others are those of ``ASGIServer``.
        certificate: the file with its key and its certificate.
    """

    def __init__(self, kind: str, certificate: Path, bench: Bench) -> None:
        super().__init__(kind, "ours", bench.cores.server, bench.redis, cluster=f"tls-{kind}")
        if kind == "uvicorn":
            self.command += ["--ssl-keyfile", str(certificate), "--ssl-certfile", str(certificate)]
        else:
            at = self.command.index("-b")
            endpoint = f"ssl:{self.listens}:interface={HOST}:privateKey={certificate}"
            self.command[at : at + 4] = ["-e", endpoint]


class _TLSRow(Row):
    """Both servers."""

    unit = "µs of the server's processor"
    less_is_better = True
    digits = 1
    targets: ClassVar = (Target("uvicorn", 1.3, is_most=True),)

    def subject(self, scale: Scale) -> str:
        return "runws_server"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        certificates = Certificates(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fastws-bench-"))))
        servers = {name: TLSServer(kind, certificates.good, bench) for name, kind in _KINDS.items()}
        start(stack, servers.values())
        swarms = {name: stack.enter_context(TLSSwarm(certificates.client())) for name in servers}
        return {name: partial(self._make, server, swarms[name], bench, stack) for name, server in servers.items()}

    def _make(self, server: ASGIServer, swarm: Swarm, bench: Bench, stack: ExitStack) -> Measure:
        """Open the sockets; returns what measures."""
        raise NotImplementedError


class TLSEcho(_TLSRow):
    """JSON that comes back."""

    name = "tls-echo"

    def work(self, scale: Scale) -> str:
        return f"a JSON echo over TLS, {scale.echo_sockets} sockets with {_WINDOW} messages under way on each"

    def _make(self, server: ASGIServer, swarm: Swarm, bench: Bench, stack: ExitStack) -> Measure:
        members = swarm.connect(server.listens, ["/echo"] * bench.scale.echo_sockets)
        sent = encoded(MESSAGE)

        def measure(seconds: float) -> Sample:
            with Watch([server], []) as watch:
                rate = swarm.answer(members, client_frame(sent), len(server_frame(sent)), _WINDOW, seconds)
            return watch.sample(watch.busy / rate * 1e6)

        measure(bench.scale.seconds / 4)
        return partial(measure, bench.scale.seconds)


class TLSFanOut(_TLSRow):
    """One broadcast at a time."""

    name = "tls-fanout"

    def work(self, scale: Scale) -> str:
        return f"a delivery over TLS, of broadcasts to {scale.members:,} members, one after the other"

    def _make(self, server: ASGIServer, swarm: Swarm, bench: Bench, stack: ExitStack) -> Measure:
        room = Room([server], [bench.redis], stack, swarm)
        room.join(bench.scale.members)
        room.processor_microseconds(3)

        def measure() -> Sample:
            sample = room.processor_microseconds(_TURNS)
            return Sample(sample.value / len(room.members), sample.busy, sample.load)

        return measure
