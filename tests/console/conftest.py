"""Processes of a cluster that are threads here: each has an event loop, a responder, and sockets without network."""

import asyncio
import threading

import pytest

from django_fastws._core.connection_state import ClientState, ConnectionState
from django_fastws._core.headers import HeaderMap
from django_fastws.processes import current_responder
from django_fastws.transports.addresses import address_of
from django_fastws.websocket import InboundWebSocket, current_sockets


class FakeTransport:
    """Transport of a socket that nobody is at the other end of."""

    name = "fake"
    dropped = 0
    stored_listener = None

    def __init__(self, scope, buffered):
        self.scope = {"path": "/", "headers": [], **scope}
        self.buffered = buffered
        self.state = ConnectionState(ClientState.CONNECTED, is_answered=True)
        self.posted = []

    @property
    def headers(self):
        return HeaderMap(self.scope["headers"])

    @property
    def remote_address(self):
        return address_of(self.scope.get("client"))

    def post(self, batch):
        self.posted.append(batch)

    def ended(self):
        return None

    def release(self):
        pass


class FakeProcess:
    """Event loop in a thread, which answers as a process does."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.sockets: list[InboundWebSocket] = []
        self.closed: dict[InboundWebSocket, tuple] = {}
        self.name = self.run(self._start())

    def run(self, work):
        """Run a coroutine in the loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    async def _start(self):
        responder = current_responder()
        responder.start("asgi")
        await responder.wait_until_subscribed()
        return responder.name

    def open(self, route="/chat/{room}", *, rooms=(), buffered=0, traffic=(0, 0, 0, 0), **scope):
        """Open a socket."""
        return self.run(self._open(route, rooms, buffered, traffic, scope))

    async def _open(self, route, rooms, buffered, traffic, scope):
        ws = InboundWebSocket(FakeTransport(scope, buffered), tags=("shop",))
        current_sockets().add(ws, route)
        names = ("messages_received", "bytes_received", "messages_sent", "bytes_sent")
        for name, value in zip(names, traffic, strict=True):
            setattr(ws.traffic, name, value)
        ws.close_from_outside = lambda kind, code, reason: self._end(ws, kind, code, reason)
        for room in rooms:
            await ws.join(room)
        self.sockets.append(ws)
        return ws

    def _end(self, ws, kind, code, reason):
        ws.transport.state.decide(code, reason)
        self.closed[ws] = (kind, code, reason)

    def settle(self):
        """Let what is due have its turn."""
        self.run(asyncio.sleep(0.2))

    def close_all(self):
        """Forget the sockets."""
        self.run(self._close_all())

    async def _close_all(self):
        for ws in self.sockets:
            current_sockets().discard(ws)
            ws.release()
        self.sockets.clear()

    async def _stop(self):
        await self._close_all()
        responder = current_responder()
        responder.stop()
        await responder.settled()

    def stop(self):
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def processes(settings):
    """Makes so many processes."""
    settings.CHANNEL_LAYERS = {}
    made = []

    def make(count):
        found = [FakeProcess() for _ in range(count)]
        made.extend(found)
        return found

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def process(processes):
    """One process."""
    (found,) = processes(1)
    return found


@pytest.fixture
def three(processes):
    """Three processes for many examples, each of which closes what it has opened."""
    return processes(3)
