"""Peers that users would pick instead: how each is started and spoken with, and what it does not do."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support import node
from tests.support.processes import HOST, free_port

from .load import handshake
from .messages import MESSAGE, READY, ROOM, client_frame, encoded, server_frame
from .programs import ASGIServer, Program, PythonProgram
from .row import Bench, Skipped

__all__ = ["NODE_FOLDER", "OURS", "PEERS", "Contestant", "Dialect"]

#: The peers on Node.js, with their lock file.
NODE_FOLDER = Path(__file__).resolve().parent / "node"

_JSON = encoded(MESSAGE)
_OPENED = rb"HTTP/1\.1 101 .*?\r\n\r\n"


@dataclass(frozen=True)
class Dialect:
    """How a connection is opened, and what is said and heard on it.

    Attributes:
        steps: of the opening: what is sent, and what all that comes back for it must match before the next step.
        said: the bytes of one message.
        heard: how many bytes come back for it, to each who gets it.
        unasked: how many bytes come by themselves, once, some time after the opening.
    """

    steps: tuple[tuple[bytes, re.Pattern[bytes]], ...]
    said: bytes
    heard: int
    unasked: int = 0


#: The dialect of whoever listens on a port.
Speaks = Callable[[int], Dialect]


@dataclass(frozen=True)
class Contestant:
    """A server that can do the work of a row.

    Attributes:
        name: in the table.
        program: makes the server, which is to be started; it raises Skipped where there is none.
        room: how a member of a room is spoken with; None if it has no rooms.
        echo: how an echo is; None if it has none.
        lacks: what it does not do; empty where it does the same.
    """

    name: str
    program: Callable[[Bench], Program]
    room: Speaks | None
    echo: Speaks | None
    lacks: str = ""


def _matching(pattern: bytes) -> re.Pattern[bytes]:
    return re.compile(pattern, re.DOTALL)


def _plain(path: str, port: int) -> Dialect:
    """Text frames of JSON on a WebSocket; whoever joins a room is told when it has."""
    hello = b"" if path == "/echo" else re.escape(server_frame(READY.encode()))
    steps = ((handshake(port, path), _matching(_OPENED + hello)),)
    return Dialect(steps, client_frame(_JSON), len(server_frame(_JSON)))


def _socket_io(event: str, answer: str, port: int) -> Dialect:
    """Socket.IO 5 on a WebSocket: an opening, a connection to the namespace, and a room that is asked for."""
    steps = (
        (handshake(port, "/socket.io/?EIO=4&transport=websocket"), _matching(_OPENED + rb".{2,4}0\{.*\}")),
        (client_frame(b"40"), _matching(rb".{2,4}40\{.*\}")),
        (client_frame(b'42["join","%s"]' % ROOM.encode()), _matching(re.escape(server_frame(b'42["ready"]')))),
    )
    said, heard = (b'42["%s",%s]' % (name.encode(), _JSON) for name in (event, answer))
    return Dialect(steps, client_frame(said), len(server_frame(heard)))


def _nats(port: int) -> Dialect:
    """The protocol of NATS on TCP, with one subscription."""
    room = ROOM.encode()
    steps = (
        (b"", _matching(rb"INFO .*\r\n")),
        (b'CONNECT {"verbose":false}\r\nSUB %s 1\r\nPING\r\n' % room, _matching(rb"PONG\r\n")),
    )
    head = b" %d\r\n%s\r\n" % (len(_JSON), _JSON)
    return Dialect(steps, b"PUB " + room + head, len(b"MSG " + room + b" 1" + head), unasked=len(b"PING\r\n"))


_ROOM, _ECHO = partial(_plain, f"/room/{ROOM}"), partial(_plain, "/echo")


def _asgi(kind: str, site: str, needs: str, bench: Bench) -> Program:
    _installed(needs)
    return ASGIServer(kind, site, bench.cores.server, bench.redis, cluster=kind)


def _python(module: str, needs: str, bench: Bench) -> Program:
    _installed(needs)
    port = free_port()
    return PythonProgram([f"bench.sites.{module}", str(port)], bench.cores.server, port=port)


def _installed(package: str) -> None:
    if find_spec(package) is None:
        raise Skipped(f"{package} is not installed: `pip install --group bench`")


def _node(script: str, needs: str, bench: Bench) -> Program:
    found = node.find()
    if found is None:
        raise Skipped("there is no Node.js on this machine")
    if not (NODE_FOLDER / "node_modules" / needs).is_dir():
        raise Skipped(f"{needs} is not installed: `npm ci --prefix bench/node`")
    port = free_port()
    command = [str(found / "node"), str(NODE_FOLDER / script), str(port)]
    return Program(command, bench.cores.server, port=port)


def _nats_server(bench: Bench) -> Program:
    found = shutil.which("nats-server")
    if found is None:
        raise Skipped("there is no nats-server on this machine")
    port = free_port()
    return Program([found, "-a", HOST, "-p", str(port)], bench.cores.server, port=port)


def _contestant(name: str, make: Callable[..., Program], *args: Any, **options: Any) -> Contestant:
    return Contestant(name, partial(make, *args), **({"room": _ROOM, "echo": _ECHO} | options))


#: This package, on each server.
OURS = tuple(
    _contestant(f"ours on {kind}", _asgi, kind, "ours", "django_fastws")
    for kind in ("runws_server", "daphne", "uvicorn")
)
#: Everybody else, of those that can be installed.
PEERS = (
    _contestant(
        "Channels on daphne", _asgi, "daphne", "channels_peer", "channels", lacks="no limits, no back-pressure"
    ),
    _contestant(
        "Channels on uvicorn", _asgi, "uvicorn", "channels_peer", "channels", lacks="no limits, no back-pressure"
    ),
    _contestant(
        "Starlette on uvicorn",
        _asgi,
        "uvicorn",
        "starlette_peer",
        "starlette",
        room=None,
        lacks="no rooms, no sessions or users, no limits",
    ),
    _contestant(
        "Litestar channels on uvicorn",
        _asgi,
        "uvicorn",
        "litestar_peer",
        "litestar",
        lacks="no Redis hop (channels in memory), no sessions or users, no limits",
    ),
    _contestant(
        "python-socketio on uvicorn",
        _asgi,
        "uvicorn",
        "socketio_peer",
        "socketio",
        room=partial(_socket_io, "say", "said"),
        echo=partial(_socket_io, "echo", "echo"),
        lacks="no Redis hop, no sessions or users, no limits; frames of Socket.IO",
    ),
    _contestant(
        "websockets",
        _python,
        "websockets_peer",
        "websockets",
        lacks="no Redis hop, no HTTP, no routes, no sessions or users, no limits of rates",
    ),
    _contestant(
        "picows",
        _python,
        "picows_peer",
        "picows",
        lacks="no Redis hop, no HTTP, no routes, no sessions or users, no limits, no back-pressure",
    ),
    _contestant(
        "ws on Node.js",
        _node,
        "ws.js",
        "ws",
        lacks="no Redis hop, no routes, no sessions or users, no limits, no back-pressure",
    ),
    _contestant(
        "socket.io on Node.js",
        _node,
        "socketio.js",
        "socket.io",
        room=partial(_socket_io, "say", "said"),
        echo=partial(_socket_io, "echo", "echo"),
        lacks="no Redis hop, no sessions or users, no limits, no back-pressure; frames of Socket.IO",
    ),
    _contestant(
        "nats-server",
        _nats_server,
        room=_nats,
        echo=None,
        lacks="no WebSockets (its own protocol on TCP), no JSON, no sessions or users",
    ),
)
