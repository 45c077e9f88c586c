"""Live rooms: calls that are validated and answered, and what an idle member costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from typing import Any, ClassVar, NamedTuple

from ..load import Swarm
from ..messages import LOBBY, READY, ROOM, SAID, client_frame, encoded, numbered_frames, server_frame
from ..programs import ASGIServer, start
from ..row import Bench, Make, Measure, Row, Sample, Skipped, Target, Watch
from ..sizes import Scale

__all__ = [
    "CallOnDaphne",
    "CallOnRunwsServer",
    "CallOnUvicorn",
    "LiveMemory",
    "OneCallOnDaphne",
    "OneCallOnUvicorn",
    "join_live",
]

#: Opens so many sockets to a port.
Connect = Callable[[Swarm, int, int], list[int]]

_LENGTH = len(SAID["text"])
_ID = 1_000_000  # of as many digits as those that are sent
_WARM_UP = 50  # sockets, that stay
_EVENT = {"room": LOBBY, "event": "say", "data": SAID}


class _Caller(NamedTuple):
    """How a peer is called: where, with what, and with what it answers."""

    site: str
    path: str
    call: Mapping[str, Any]
    answer: Mapping[str, Any]


_CALLERS = {
    "ours": _Caller("ours", "/ws/live", _EVENT, {"id": _ID, "ok": _LENGTH}),
    "raw JSON echo": _Caller("ours", "/echo", _EVENT, {**_EVENT, "id": _ID}),
    "Channels": _Caller("channels_peer", "/call", _EVENT, {"id": _ID, "ok": _LENGTH}),
    "chanx": _Caller(
        "chanx_peer", "/call", {"action": "say", "payload": SAID}, {"action": "ok", "payload": _LENGTH, "id": _ID}
    ),
}


def _server(kind: str, site: str, bench: Bench) -> ASGIServer:
    return ASGIServer(kind, site, bench.cores.server, bench.redis, consumers="live")


def join_live(swarm: Swarm, port: int, count: int, room: str = LOBBY, at: str | None = None) -> list[int]:
    """Open live sockets, each a member of the room.

    Args:
        at: the position of a room with history.
    """
    join = client_frame(encoded({"join": room, "id": 1}))
    position = {} if at is None else {"at": at}
    joined = server_frame(encoded({"id": 1, "ok": {"room": room, **position, "recovered": False}}))
    members = swarm.connect(port, ["/ws/live"] * count)
    for member in members:
        swarm.send(member, join)
    swarm.collect(members, len(joined))
    return members


class _Calls:
    """Sockets that call one peer on one server."""

    def __init__(self, server: ASGIServer, caller: _Caller, bench: Bench, stack: ExitStack) -> None:
        self._server = server
        self._swarm = stack.enter_context(Swarm())
        count = bench.scale.echo_sockets
        if caller.path == "/ws/live":
            self._members = join_live(self._swarm, server.listens, count)
        else:
            self._members = self._swarm.connect(server.listens, [caller.path] * count)
        self._frames = numbered_frames(caller.call)
        self._size = len(server_frame(encoded(caller.answer)))

    def rate(self, window: int, seconds: float) -> Sample:
        """Answers in a second, measured for so long."""
        with Watch([self._server], []) as watch:
            rate = self._swarm.answer(self._members, self._frames, self._size, window, seconds)
        return watch.sample(rate)


class _CallRow(Row):
    """Any server."""

    kind: ClassVar[str]
    window: ClassVar[int] = 4
    peers: ClassVar[Sequence[str]] = tuple(_CALLERS)
    unit = "calls/s"
    targets = (Target("raw JSON echo", 0.6), Target("chanx", 5))

    def work(self, scale: Scale) -> str:
        return (
            f"calls with a payload that pydantic validates, and an answer, {scale.echo_sockets} sockets with "
            f"{self.window} under way on each; {self.kind}"
        )

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        sites = dict.fromkeys(
            _CALLERS[peer].site for peer in self.peers if peer != "chanx" or find_spec("chanx") is not None
        )
        servers = {site: _server(self.kind, site, bench) for site in sites}
        start(stack, servers.values())
        return {
            peer: partial(self._made, servers.get(_CALLERS[peer].site), _CALLERS[peer], bench, stack)
            for peer in self.peers
        }

    def _made(self, server: ASGIServer | None, caller: _Caller, bench: Bench, stack: ExitStack) -> Measure:
        if server is None:
            raise Skipped("it is not installed: `pip install --group bench`")
        calls = _Calls(server, caller, bench, stack)
        calls.rate(self.window, bench.scale.seconds / 4)  # to warm up
        return partial(calls.rate, self.window, bench.scale.seconds)


class CallOnDaphne(_CallRow):
    """On stock daphne."""

    name = "call-daphne"
    kind = "daphne"


class CallOnRunwsServer(_CallRow):
    """On the hardened daphne, which serves this package's own."""

    name = "call-runws"
    kind = "runws_server"
    peers = ("ours", "raw JSON echo")
    targets = (Target("raw JSON echo", 0.6),)


class CallOnUvicorn(_CallRow):
    """On stock uvicorn."""

    name = "call-uvicorn"
    kind = "uvicorn"


class OneCallOnDaphne(CallOnDaphne):
    """Each answer is waited for."""

    name = "call-daphne-one"
    window = 1


class OneCallOnUvicorn(CallOnUvicorn):
    """Each answer is waited for."""

    name = "call-uvicorn-one"
    window = 1


class LiveMemory(Row):
    """The memory that idle members add to a new server, in which some are there already."""

    name = "live-memory"
    unit = "kB/socket"
    less_is_better = True
    digits = 1
    rounds = 3
    targets = (Target("raw member", 1.3, is_most=True),)

    def work(self, scale: Scale) -> str:
        return f"memory of each of {scale.idle_sockets:,} idle members of one live room; daphne"

    def prepare(self, bench: Bench, stack: ExitStack) -> Mapping[str, Make]:
        return {name: partial(_made, bench, connect) for name, connect in (("ours", join_live), ("raw member", _raw))}


def _raw(swarm: Swarm, port: int, count: int) -> list[int]:
    """Sockets of a handler that joins a room."""
    return swarm.connect(port, [f"/room/{ROOM}"] * count, server_frame(READY.encode()))


def _made(bench: Bench, connect: Connect) -> Measure:
    return partial(_measure, bench, connect)  # with a new server each time


def _measure(bench: Bench, connect: Connect) -> Sample:
    count = bench.scale.idle_sockets
    with _server("daphne", "ours", bench) as server, Swarm() as swarm:
        connect(swarm, server.listens, _WARM_UP)
        before = server.settled_kilobytes()
        connect(swarm, server.listens, count)
        return Sample((server.settled_kilobytes() - before) / count)
