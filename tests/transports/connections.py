"""Protocol objects of real servers, on real sockets, in the loop of the test: a transport here, bytes there.

The client's end reads only when it is told to, so that a test can let the sockets between fill up.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import struct
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import daphne.server  # first of all that needs Twisted
import pytest
import txaio
import uvloop
from autobahn.twisted.util import peer2str
from daphne.http_protocol import HTTPFactory
from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol
from twisted.internet import tcp
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.ssl import DefaultOpenSSLContextFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from django_fastws.server.tls_transport import TLSFactory
from django_fastws.transports.find import find_transport
from tests.clients.certificates import Certificates
from tests.support.ids import shown
from tests.support.processes import HOST
from tests.transports.fakes import end_tasks

LIMIT = 20  # seconds that any one thing may take, such as TCP, which waits the longer the more often it has waited


class Kind(NamedTuple):
    """A server, the loop that it runs on, whether TLS is spoken, and whether that is of ``runws_server``."""

    server: str
    loop: str = "asyncio"
    tls: bool = False
    lean: bool = False

    def __str__(self) -> str:
        words = [self.server, *["uvloop"] * (self.loop == "uvloop"), *["lean"] * self.lean, *["tls"] * self.tls]
        return "-".join(words)


DAPHNE = [Kind("daphne"), Kind("daphne", tls=True), Kind("daphne", tls=True, lean=True)]
UVICORN = [
    Kind(server, loop) for server in ("websockets-sansio", "wsproto", "websockets") for loop in ("asyncio", "uvloop")
]
UVICORN_TLS = [Kind(kind.server, kind.loop, tls=True) for kind in UVICORN]
KINDS = [*DAPHNE, *UVICORN, *UVICORN_TLS]


def in_its_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that runs in a loop of the server's whose ``kind`` is among its arguments."""

    async def whole(arguments: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(3 * LIMIT):
                await test(**arguments)
        finally:
            await end_tasks()

    @functools.wraps(test)
    def run(**arguments: Any) -> None:
        factory = uvloop.new_event_loop if arguments["kind"].loop == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(whole(arguments))

    return run


def on(*kinds: Kind) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Run a test once for each kind of server; ``kind`` is an argument of the test."""
    return lambda test: pytest.mark.parametrize("kind", kinds, ids=shown)(in_its_loop(test))


# ── The server's end ────────────────────────────────────────────────────────────────────────────────────────────────


class Application:
    """An ASGI application that hands its transport to the test, and ends when the test says so."""

    def __init__(self, alter: Callable[[Any, Any], tuple[Any, Any]], *, accepts: bool = True) -> None:
        self._alter = alter
        self._accepts = accepts
        self.found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        transport = find_transport(scope, *self._alter(receive, send))
        assert (await transport.receive())["type"] == "websocket.connect"
        if self._accepts:
            await transport.accept(None, [])
        self.found.set_result(transport)
        await self.over.wait()
        transport.release()


class Connection:
    """One connection: the transport, the server's protocol object, and the client.

    Attributes:
        transport: what ``find_transport`` found.
        protocol: the server's protocol object.
        tcp: the TCP transport of that.
        client: the other end.
    """

    def __init__(self, transport: Any, protocol: Any, client: Client) -> None:
        self.transport = transport
        self.protocol = protocol
        self.tcp = protocol.transport
        self.client = client

    @property
    def unsent(self) -> int:
        """How many bytes the server's transport holds."""
        tcp: Any = getattr(self.transport, "_tcp", None)
        if hasattr(tcp, "dataBuffer"):  # Twisted's
            return int(len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen)
        return int(self.tcp.get_write_buffer_size())


def as_it_is(receive: Any, send: Any) -> tuple[Any, Any]:
    return receive, send


@contextlib.asynccontextmanager
async def connected(
    kind: Kind,
    *,
    alter: Callable[[Any, Any], tuple[Any, Any]] = as_it_is,
    accepts: bool = True,
    compression: bool = False,
    socket_bytes: int | None = None,
    path: str = "/x",
    subprotocols: list[str] | None = None,
) -> AsyncIterator[Connection]:
    """A connection to a server of this kind.

    Args:
        alter: gets the server's ``receive`` and ``send``, and returns those that the transport is looked for behind.
        accepts: whether the handshake is accepted; if not, it is left as it is.
        compression: whether the client offers compression.
        socket_bytes: about as much as the sockets hold that nobody has read; None for what the system gives.
        path: with the query string, as the client asks for it.
        subprotocols: which the client offers.
    """
    protocols: list[Any] = []

    def altered(receive: Any, send: Any) -> tuple[Any, Any]:
        protocols.append(send.args[0] if isinstance(send, functools.partial) else send.__self__)
        return alter(receive, send)

    application = Application(altered, accepts=accepts)
    server_end, client_end = _sockets(socket_bytes)
    client = Client(
        client_end,
        path,
        _client_protocol(subprotocols, compression=compression),
        _certificates().client() if kind.tls else None,
    )
    serving = _daphne if kind.server == "daphne" else _uvicorn
    try:
        async with serving(kind, server_end, application):
            await client.open(waits_for_answer=accepts)
            async with asyncio.timeout(LIMIT):
                transport = await application.found
            try:
                yield Connection(transport, protocols[0], client)
            finally:
                application.over.set()
                client.reset()
                async with asyncio.timeout(LIMIT):
                    await asyncio.gather(*application.tasks)
    finally:
        client_end.close()


@contextlib.asynccontextmanager
async def served(kind: Kind, application: Any, path: str) -> AsyncIterator[Client]:
    """A client of a whole ASGI application, on a server of this kind."""
    server_end, client_end = _sockets(None)
    client = Client(client_end, path, _client_protocol(), _certificates().client() if kind.tls else None)
    serving = _daphne if kind.server == "daphne" else _uvicorn
    try:
        async with serving(kind, server_end, application):
            await client.open()
            try:
                yield client
            finally:
                client.reset()
    finally:
        client_end.close()


def _client_protocol(subprotocols: Any = None, *, compression: bool = False) -> ClientProtocol:
    extensions = [ClientPerMessageDeflateFactory()] if compression else None
    return ClientProtocol(parse_uri(f"ws://{HOST}/"), extensions=extensions, subprotocols=subprotocols, max_size=None)


def _sockets(size: int | None) -> tuple[socket.socket, socket.socket]:
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind((HOST, 0))
        client_end = stack.enter_context(socket.socket())
        if size is not None:
            client_end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size // 2)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size // 2)
        listener.listen()
        client_end.connect(listener.getsockname())
        server_end, _ = listener.accept()
        stack.pop_all()
    for end in (server_end, client_end):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return server_end, client_end


@functools.cache
def _certificates() -> Certificates:
    directory = tempfile.TemporaryDirectory(prefix="fastws-test-")
    certificates = Certificates(Path(directory.name))
    certificates._kept = directory  # type: ignore[attr-defined] (until the end of the run)
    return certificates


@contextlib.contextmanager
def _reactor() -> Iterator[AsyncioSelectorReactor]:
    """A reactor of Twisted's on the running loop, also for the timers of autobahn."""
    reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
    former, txaio.config.loop = txaio.config.loop, reactor
    try:
        yield reactor
    finally:
        txaio.config.loop = former
        for call in reactor.getDelayedCalls():
            call.cancel()
        for selectable in (*reactor.removeAll(), reactor.waker):
            selectable.connectionLost(None)


class _ProtocolOnLeanTLS(WebSocketProtocol):  # type: ignore[misc]
    """Daphne's, which asks nothing of TLS, as that of ``runws_server`` does not."""

    def connectionMade(self) -> None:
        self.peer = peer2str(self.transport)
        self._connectionMade()


@contextlib.asynccontextmanager
async def _daphne(kind: Kind, end: socket.socket, application: Any) -> AsyncIterator[None]:
    with _reactor() as reactor:
        server = daphne.server.Server(application, endpoints=["not used"])
        server.connections = {}
        server.ws_factory = WebSocketFactory(server, server=server.server_name)
        server.ws_factory.setProtocolOptions(  # as Server.run() does
            autoPingTimeout=server.ping_timeout,
            allowNullOrigin=True,
            openHandshakeTimeout=server.websocket_handshake_timeout,
            maxMessagePayloadSize=server.websocket_max_message_size,
            maxFramePayloadSize=server.websocket_max_frame_size,
        )
        factory = HTTPFactory(server)
        factory.reactor = reactor
        if kind.lean:
            server.ws_factory.protocol = _ProtocolOnLeanTLS
            factory = TLSFactory(_certificates().server(), factory)
        elif kind.tls:
            pem = str(_certificates().good)
            factory = TLSMemoryBIOFactory(DefaultOpenSSLContextFactory(pem, pem), False, factory, reactor)
        protocol = factory.buildProtocol(None)
        transport = tcp.Server(end, protocol, end.getpeername(), None, 0, reactor)
        protocol.makeConnection(transport)
        try:
            yield
        finally:
            async with asyncio.timeout(LIMIT):
                while not transport.disconnected:  # noqa: ASYNC110 (nothing tells of it)
                    await asyncio.sleep(0.001)


@contextlib.contextmanager
def _deprecations_ignored() -> Iterator[None]:
    """``websockets.legacy`` is deprecated, and so is uvicorn's use of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.asynccontextmanager
async def _uvicorn(kind: Kind, end: socket.socket, application: Any) -> AsyncIterator[None]:
    config = Config(application, ws=kind.server, http="h11", lifespan="off", log_config=None)
    with _deprecations_ignored():
        config.load()
    protocol_class = config.ws_protocol_class

    def make_protocol(**arguments: Any) -> Any:
        with _deprecations_ignored():
            return protocol_class(**arguments)

    config.ws_protocol_class = make_protocol
    state = ServerState()
    accepting = asyncio.create_task(
        asyncio.get_running_loop().connect_accepted_socket(
            lambda: H11Protocol(config, server_state=state, app_state={}),
            end,
            ssl=_certificates().server() if kind.tls else None,
        )
    )
    yield
    await accepting
    async with asyncio.timeout(LIMIT):
        while state.connections:  # noqa: ASYNC110 (nothing tells of it)
            await asyncio.sleep(0.001)


# ── The client's end ────────────────────────────────────────────────────────────────────────────────────────────────


class Closed(NamedTuple):
    """The close frame that came; code 1005 if it had none, 1006 if the connection ended without one."""

    code: int
    reason: str


class Client:
    """A client that parses strictly, and reads nothing unless it is told to.

    Attributes:
        raw: all that has come so far, decrypted; behind the head of the answer to the handshake, if that was read.
    """

    def __init__(self, end: socket.socket, path: str, protocol: ClientProtocol, tls: ssl.SSLContext | None) -> None:
        self._end = end
        self._path = path
        self._protocol = protocol
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_hostname=HOST) if tls is not None else None
        self._events: list[Any] = []
        self._has_ended = False
        self.raw = b""

    @property
    def extensions(self) -> list[Any]:
        """What was agreed on."""
        return list(self._protocol.extensions)

    async def open(self, *, waits_for_answer: bool = True) -> None:
        """Make the handshake."""
        if self._tls is not None:
            await self._negotiate()
        request = self._protocol.connect()
        request.path = self._path  # the library would drop what stands behind a semicolon
        self._protocol.send_request(request)
        await self._flush()
        if waits_for_answer:
            answer = await self.answer()
            assert answer.status_code == 101, answer

    async def answer(self) -> Response:
        """The answer to the handshake."""
        async with asyncio.timeout(LIMIT):
            while not self._events:
                assert not self._has_ended, self.raw
                await self._read()
        answer: Response = self._events.pop(0)
        self.raw = self.raw.partition(b"\r\n\r\n")[2]
        return answer

    async def receive(self) -> str | bytes | Closed:
        """The next message, or how the connection was closed, which is answered. Torn or forbidden frames raise."""
        async with asyncio.timeout(LIMIT):
            while True:
                while self._events:
                    frame = self._events.pop(0)
                    assert frame.fin, "servers send whole messages"
                    if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                        data = bytes(frame.data)
                        return data.decode() if frame.opcode is Opcode.TEXT else data
                    if frame.opcode is Opcode.CLOSE:
                        self._end.close()  # the answer is on its way
                        return Closed(self._protocol.close_rcvd.code, self._protocol.close_rcvd.reason)
                if self._has_ended:
                    return Closed(1006, "")
                await self._read()

    async def receive_end(self) -> Closed:
        """How the connection is closed; messages before that are passed over."""
        while not isinstance(end := await self.receive(), Closed):
            pass
        return end

    async def receive_many(self, count: int) -> list[Any]:
        """So many messages."""
        return [await self.receive() for _ in range(count)]

    async def read_some(self, size: int) -> None:
        """Read so many bytes at most, and no more than there are."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await self._read(size)

    async def send(self, data: str | bytes) -> None:
        """Send a message."""
        if isinstance(data, str):
            self._protocol.send_text(data.encode())
        else:
            self._protocol.send_binary(data)
        await self._flush()

    async def ping(self, data: bytes) -> None:
        """Send a ping; the pong is in ``raw`` some day."""
        self._protocol.send_ping(data)
        await self._flush()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame."""
        self._protocol.send_close(code, reason)
        await self._flush()

    async def close_without_code(self) -> None:
        """Send a close frame that has no body."""
        self._protocol.send_close()
        await self._flush()

    def reset(self) -> None:
        """Cut the connection, as a machine does that was switched off and on again."""
        with contextlib.suppress(OSError):  # it was reset before
            self._end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end.close()

    async def _read(self, size: int = 65536) -> None:
        try:
            data = await asyncio.get_running_loop().sock_recv(self._end, size)
        except OSError:
            data = b""
        self._has_ended = not data
        if self._tls is not None and data:
            data = self._decrypted(data)
        self.raw += data
        if data:
            self._protocol.receive_data(data)
        if self._has_ended:
            self._protocol.receive_eof()
        elif self._protocol.parser_exc is not None:
            raise self._protocol.parser_exc
        self._events += self._protocol.events_received()
        with contextlib.suppress(OSError):
            await self._flush()  # pongs, and the answer to a close

    def _decrypted(self, data: bytes) -> bytes:
        assert self._tls is not None
        self._incoming.write(data)
        parts = []
        try:
            while part := self._tls.read(65536):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts)
        except ssl.SSLError:
            pass
        self._has_ended = True
        return b"".join(parts)

    async def _negotiate(self) -> None:
        assert self._tls is not None
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._incoming.write(await asyncio.get_running_loop().sock_recv(self._end, 65536))
            else:
                return

    async def _flush(self) -> None:
        data = b"".join(self._protocol.data_to_send())
        if self._tls is not None:
            if data:
                self._tls.write(data)
            data = self._outgoing.read()
        if data:
            await asyncio.get_running_loop().sock_sendall(self._end, data)
