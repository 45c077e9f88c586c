"""What broadcasts, echoes and idle sockets cost, in calls, tasks, futures, threads and objects; never in time."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from django.conf import LazySettings

import django_fastws
from django_fastws import FastWS, Room, WebSocket, WebSocketMessage, tracing
from django_fastws._core import json as json_module
from django_fastws._core import messages as messages_module
from django_fastws._core.backlog import Backlog
from django_fastws._core.connection_state import ConnectionState
from django_fastws._core.envelope import Envelope
from django_fastws._core.fanout import FanOut
from django_fastws._core.messages import Batch, Payload
from django_fastws.asgi import get_asgi_application
from django_fastws.clients.websockets_transport import WebsocketsTransport
from django_fastws.layer import BrokerClient
from django_fastws.limits import Access, Admission, Limits
from django_fastws.live import parked_sockets
from django_fastws.live.introduction import Introduction
from django_fastws.live.session import LiveSession
from django_fastws.rooms import room as rooms_module
from django_fastws.rooms import scheduler as scheduler_module
from django_fastws.rooms import subscriptions as subscriptions_module
from django_fastws.rooms.hub import current_hub
from django_fastws.transports import daphne as daphne_module
from django_fastws.transports import daphne_handshake
from django_fastws.transports import uvicorn as uvicorn_module
from django_fastws.transports.daphne import DaphneTransport
from django_fastws.transports.find import ASGITransport, find_transport
from django_fastws.transports.outbox import Outbox
from django_fastws.transports.uvicorn import LegacyUvicornTransport, UvicornTransport
from django_fastws.websocket import InboundWebSocket, OutboundWebSocket
from tests.support.brokers import fake_broker
from tests.support.hubs import EMPTY, hub_state
from tests.support.memory import least_peak
from tests.support.processes import ROOT
from tests.support.profiling import profiled
from tests.transports.connections import DAPHNE, UVICORN, Kind, on, served
from tests.transports.fakes import turns

MEMBERS = 1000
PACKAGE = django_fastws.__path__[0]
SERVERS = [DAPHNE[0], *UVICORN]


class Counts:
    """How often things were done since the counting began."""

    def __init__(self) -> None:
        self.tasks = self.futures = self.threads = self.executions = 0
        self.settings: list[str] = []
        self.dumps = self.loads = self.frames = 0


@contextlib.contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count what is done in the running loop, and by the package."""
    counts, loop = Counts(), asyncio.get_running_loop()

    def counting(name: str, function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            setattr(counts, name, getattr(counts, name) + 1)
            return function(*args, **kwargs)

        return wrapper

    def make_task(loop: Any, coroutine: Any, **options: Any) -> Any:
        counts.tasks += 1
        return asyncio.Task(coroutine, loop=loop, **options)

    def get_setting(self: Any, name: str, original: Any = LazySettings.__getattr__) -> Any:
        counts.settings.append(name)
        return original(self, name)

    with monkeypatch.context() as patch:
        patch.setattr(LazySettings, "__getattr__", get_setting)
        patch.setattr(threading.Thread, "start", counting("threads", threading.Thread.start))
        fake = SimpleNamespace(**vars(orjson))
        fake.dumps, fake.loads = counting("dumps", orjson.dumps), counting("loads", orjson.loads)
        patch.setattr(json_module, "orjson", fake)
        patch.setattr(messages_module, "frame", counting("frames", messages_module.frame))
        if type(loop).__module__.startswith("asyncio"):  # uvloop's are not to be changed
            patch.setattr(loop, "create_future", counting("futures", loop.create_future))
            patch.setattr(loop, "run_in_executor", counting("executions", loop.run_in_executor))
        loop.set_task_factory(make_task)
        try:
            yield counts
        finally:
            loop.set_task_factory(None)


# Servers whose sockets count


class Transport:
    """A transport and a socket that take everything: what the transports look for there, and no more."""

    TLS = disconnecting = False
    dataBuffer = _tempDataBuffer = b""
    offset = 0
    producer = streamingProducer = None

    def __init__(self) -> None:
        self.socket = self
        self._tempDataLen = 0
        self.writes = 0
        self.last = b""

    def send(self, data: bytes) -> int:
        self.writes += 1
        self.last = data
        return len(data)

    write = send

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def ignored(self, *args: Any, **options: Any) -> None: ...

    set_write_buffer_limits = abort = abortConnection = registerProducer = unregisterProducer = ignored
    doWrite = pauseProducing = resumeProducing = pause_reading = resume_reading = ignored


class Protocol:
    """A server's protocol object: what the transports look for, and no more."""

    STATE_CLOSED, STATE_CONNECTING, STATE_OPEN = 0, 1, 3
    __module__ = "uvicorn.protocols.websockets.fake"

    def __init__(self, names: Any) -> None:
        vars(self).update({name: None for name in names if not hasattr(self, name)})
        self.transport = Transport()
        self.writable = asyncio.Event()
        self.writable.set()
        self.handshake_complete = False
        self.handshake_completed_event = asyncio.Event()
        self.state = 1

    async def send(self, event: Any) -> None:
        assert event["type"] == "websocket.accept"
        self.state = self.STATE_OPEN
        self.handshake_complete = True

    async def asgi_send(self, event: Any) -> None:
        assert event["type"] == "websocket.accept"
        self.handshake_completed_event.set()


def daphne_member(receive: Any = None) -> tuple[Any, Transport]:
    protocol = Protocol(daphne_module.NEEDED)

    async def handle_reply(protocol: Any, event: Any) -> None:
        await protocol.send(event)

    return transport_of(DaphneTransport, receive, functools.partial(handle_reply, protocol)), protocol.transport


def uvicorn_member(receive: Any = None) -> tuple[Any, Transport]:
    protocol = Protocol(UvicornTransport.needed)
    return transport_of(UvicornTransport, receive, protocol.send), protocol.transport


def legacy_member(receive: Any = None) -> tuple[Any, Transport]:
    protocol = Protocol(LegacyUvicornTransport.needed)
    return transport_of(LegacyUvicornTransport, receive, protocol.asgi_send), protocol.transport


def transport_of(kind: type[ASGITransport], receive: Any, send: Any) -> ASGITransport:
    transport = find_transport({"type": "websocket", "path": "/x"}, receive, send)
    assert type(transport) is kind
    return transport


@pytest.fixture(autouse=True)
def _sockets_of_these_tests_can_be_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    known = uvicorn_module.direct_write
    monkeypatch.setattr(
        uvicorn_module, "direct_write", lambda tcp: tcp.send if isinstance(tcp, Transport) else known(tcp)
    )


class Local(BrokerClient):
    """A client that subscribes to nothing."""

    async def subscribe(self, group: str) -> None: ...

    async def unsubscribe(self, group: str) -> None: ...

    async def close(self) -> None: ...


@pytest.fixture(params=[daphne_member, uvicorn_member, legacy_member], ids=["daphne", "uvicorn", "legacy"])
def make_member(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What makes a transport and its socket. What is published arrives at once, and is sent in one go."""

    async def publish(envelope: Envelope) -> None:
        current_hub().deliver(envelope)

    broker = fake_broker(client=Local, apublish=publish)
    monkeypatch.setattr(rooms_module, "get_broker", broker)
    monkeypatch.setattr(subscriptions_module, "get_broker", broker)
    # A fan-out that goes on in the next turn of the loop looks at who has left meanwhile.
    monkeypatch.setattr(scheduler_module, "_SLICE", 1000)
    return request.param


@contextlib.asynccontextmanager
async def crowd(make_member: Any, count: int = MEMBERS) -> Any:
    """So many open WebSockets in one room, and their sockets."""
    members, sockets = [], []
    for _ in range(count):
        transport, socket = make_member()
        ws = InboundWebSocket(transport)
        await ws.accept()
        await ws.join("room")
        members.append(ws)
        sockets.append(socket)
    await Room("room").abroadcast("warm")  # what is made once has been made
    await all_sent()
    for socket in sockets:
        assert socket.writes == 1
        socket.writes = 0
    yield members, sockets
    for ws in members:
        ws.release()
    await turns()


async def all_sent() -> None:
    while hub_state().due:  # noqa: ASYNC110
        await asyncio.sleep(0)


# One broadcast


async def test_a_broadcast_is_encoded_once_framed_once_and_written_once_for_each_member(make_member, monkeypatch):
    async with crowd(make_member) as (_, sockets):
        with counted(monkeypatch) as counts:
            await Room("room").abroadcast({"größe": [1, None]})
            await all_sent()
        assert [socket.writes for socket in sockets] == [1] * MEMBERS
        assert {id(socket.last) for socket in sockets} == {id(sockets[0].last)}
        assert sockets[0].last == Payload('{"größe":[1,null]}').frame
    assert (counts.dumps, counts.frames) == (1, 1)
    assert (counts.tasks, counts.futures, counts.executions, counts.threads) == (0, 0, 0, 0)
    assert counts.settings == []


async def test_a_broadcast_calls_little_for_each_member(make_member):
    async with crowd(make_member) as (sockets_of_room, sockets):
        members = {ws: ws.post for ws in sockets_of_room}
        calls, c_calls = 0, 0

        def profile(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls, c_calls
            calls += event == "call"
            c_calls += event == "c_call"

        fan_out = FanOut([(Payload("hi"), None)], members)
        with profiled(profile):
            fan_out.run(members, lambda: False)
        assert [socket.writes for socket in sockets] == [1] * MEMBERS
    # What the server is asked for, and the writing, which is of this test's own: most often there is nothing else.
    most = {daphne_member: 1, uvicorn_member: 1, legacy_member: 9}[make_member]
    assert calls <= MEMBERS * most + 100
    assert c_calls <= MEMBERS * 2 + 100


async def test_broadcasts_reach_for_nothing_of_a_member_but_its_sink(make_member, monkeypatch):
    asked: list[tuple[str, str]] = []  # what for, and by whom
    post, in_room = InboundWebSocket.post, set()

    def looked_at(ws: InboundWebSocket, what: str) -> None:
        if id(ws) in in_room:  # others may still be around, of other loops
            asked.append((what, sys._getframe(2).f_code.co_qualname))

    def get_post(ws: InboundWebSocket) -> Any:
        looked_at(ws, "post")
        return post.__get__(ws)

    def get_hash(ws: InboundWebSocket) -> int:
        looked_at(ws, "hash")
        return object.__hash__(ws)

    async with crowd(make_member) as (members, sockets):
        in_room.update(map(id, members))
        with monkeypatch.context() as patch:  # neither raises: a fan-out that does not end would be waited for
            patch.setattr(InboundWebSocket, "post", property(get_post))
            patch.setattr(InboundWebSocket, "__hash__", get_hash)
            await Room("room").abroadcast("hi")
            await all_sent()
        assert [socket.writes for socket in sockets] == [1] * MEMBERS
    assert asked == []


async def test_a_broadcast_makes_nothing_for_each_member(make_member):
    async with crowd(make_member) as (sockets_of_room, sockets):
        members, payload = {ws: ws.post for ws in sockets_of_room}, Payload("hi")
        assert payload.frame

        def prepare() -> Callable[[], object]:
            fan_out = FanOut([(payload, None)], members)
            return lambda: fan_out.run(members, lambda: False)

        peak = least_peak(prepare, 5)
        assert [socket.writes for socket in sockets] == [5] * MEMBERS
    assert peak < 8 * MEMBERS


async def test_broadcasts_of_one_turn_are_one_write_for_each_member(make_member, monkeypatch):
    async with crowd(make_member) as (members, sockets):
        with counted(monkeypatch) as counts:
            for number in range(10):
                await Room("room").abroadcast({"n": number}, exclude=members[3] if number == 5 else None)
            await all_sent()
        assert [socket.writes for socket in sockets] == [1] * MEMBERS
        frames = [Payload(f'{{"n":{number}}}').frame for number in range(10)]
        assert sockets[0].last == b"".join(frames)
        assert sockets[3].last == b"".join(frames[:5] + frames[6:])
        assert len({id(socket.last) for socket in sockets}) == 2
    assert (counts.dumps, counts.frames, counts.tasks, counts.futures) == (10, 10, 0, 0)


async def test_broadcasts_to_many_rooms_are_sent_in_one_call_of_the_loop(make_member, monkeypatch):
    sockets, members = [], []
    for number in range(200):
        for _ in range(2):
            transport, socket = make_member()
            ws = InboundWebSocket(transport)
            await ws.accept()
            await ws.join(f"room {number}")
            members.append(ws)
            sockets.append(socket)
    with counted(monkeypatch) as counts:
        for number in range(200):
            await Room(f"room {number}").abroadcast("hi")
        written = [socket.writes for socket in sockets]
        await asyncio.sleep(0)
        assert hub_state() == EMPTY._replace(rooms=hub_state().rooms, is_open=True)
    assert (written, [socket.writes for socket in sockets]) == ([0] * 400, [1] * 400)
    assert (counts.tasks, counts.futures) == (0, 0)
    for ws in members:
        ws.release()
    await turns()


# Echoes


@pytest.fixture
def application(routes: Any) -> Any:
    """A whole application with an echo, and a look at the sockets that are served."""
    app = FastWS()

    @app.websocket("/json")
    async def echo_json(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_json(await ws.receive_json())

    @app.websocket("/text")
    async def echo_text(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    return get_asgi_application()


@on(*SERVERS)
@pytest.mark.parametrize("path", ["/json", "/text"])
async def test_a_thousand_echoes_make_no_task_no_thread_and_look_for_no_setting(kind, path, application, monkeypatch):
    async with served(kind, application, path) as client:
        await client.send('"warm"')
        assert await client.receive() == '"warm"'
        with counted(monkeypatch) as counts:
            for number in range(1000):
                await client.send(f'{{"n":{number}}}')
                assert await client.receive() == f'{{"n":{number}}}'
    assert (counts.tasks, counts.threads, counts.executions, counts.settings) == (0, 0, 0, [])
    assert (counts.dumps, counts.loads) == ((1000, 1000) if path == "/json" else (0, 0))
    assert counts.frames == 1000
    if kind.server == "daphne":
        assert counts.futures <= 2000 + 10  # the queue of the server and the socket of this test wait


@on(*[kind for kind in SERVERS if kind.server != "websockets" and kind.loop == "asyncio"])
async def test_one_of_ten_echoes_that_come_at_once_calls_little(kind, application):
    count, calls, c_calls, directory = 10, 0, 0, str(Path(asyncio.__file__).parent)

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls, c_calls
        path = frame.f_code.co_filename
        if "/tests/" not in path and not path.startswith(directory) and not path.endswith("selectors.py"):
            calls += event == "call"
            c_calls += event == "c_call"

    async with served(kind, application, "/json") as client:
        await client.send("1")
        assert await client.receive() == "1"
        for number in range(count):
            client._protocol.send_text(str(number).encode())
        await client._flush()
        with profiled(profile):
            await turns()
        assert await client.receive_many(count) == [str(number) for number in range(count)]
    # Of the package, the server and its parser: 27, 33 and 67 through daphne's and uvicorn's queues and parsers.
    assert calls <= 20 * count
    assert c_calls <= 24 * count


#: How often code of this package is entered for one handshake, a message and a close, by server.
MOST_OF_A_HANDSHAKE = {"daphne": 290, "websockets-sansio": 285, "wsproto": 285, "websockets": 264}


@on(*[kind for kind in SERVERS if kind.loop == "asyncio"])
async def test_a_handshake_calls_little(kind, application):
    async def visit() -> None:
        async with served(kind, application, "/text") as client:
            await client.send("x")
            assert await client.receive() == "x"
            await client.close()
            await client.receive_end()
            await turns()

    called: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            called[frame.f_code.co_qualname] += 1

    await visit()  # what is made once has been made
    async with served(kind, application, "/text"):  # and the process goes on serving
        with profiled(profile):
            await visit()
    assert sum(called.values()) <= MOST_OF_A_HANDSHAKE[kind.server], called


# The files on the way

PAGES = ROOT / "docs" / "explanation"
# What is sent or was received, which goes along; the rest of the way is walked once.
VALUE = "_core/messages.py"


def rows_of(heading: str, page: str, column: int, *, numbered: bool = False) -> list[list[str]]:
    """The files in a column of a section's tables, row by row.

    Args:
        numbered: only of tables whose first column is the number of the step.
    """
    section = (PAGES / page).read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("|")]
    if numbered:
        rows = [row for row in rows if row[0].strip().isdigit()]
    found = [re.findall(r"`([\w/]+\.py)`", row[column]) for row in rows]
    return [files for files in found if files]


def described(heading: str) -> list[list[str]]:
    """The files of a section of the page on a connection, row by row."""
    return rows_of(heading, "life-of-a-connection.md", 0)


def named_in_text(heading: str, page: str, column: int) -> set[str]:
    """The files that the tables of a section name in their descriptions."""
    return {file for files in rows_of(heading, page, column) for file in files}


@contextlib.contextmanager
def walked() -> Any:
    """The files of the package that are called, in order, and those that are called again after they were left."""
    way, again, active = [], [], Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        path = frame.f_code.co_filename
        if path.startswith(PACKAGE) and event in ("call", "return"):
            name = path.removeprefix(PACKAGE).lstrip("/")
            active[name] += 1 if event == "call" else -1
            if event == "call" and active[name] == 1:
                (again if name in way else way).append(name)

    with profiled(profile):
        yield way, again


async def test_a_message_passes_the_files_that_the_page_names_and_none_of_them_twice(make_member):
    queue: asyncio.Queue[Any] = asyncio.Queue()
    transport, _ = make_member(queue.get)
    ws = InboundWebSocket(transport)
    await ws.accept()
    for _ in range(2):  # settings are read once
        queue.put_nowait({"type": "websocket.receive", "text": "x"})
        with walked() as (received, received_again):
            await ws.__anext__()
        with walked() as (sent, sent_again):
            await ws.send("x")
    assert [file for row in described("One inbound message") for file in row] == received
    assert received_again == []
    rows = described("One send")
    own = Path(inspect.getfile(type(transport))).name
    assert f"transports/{own}" in rows.pop()
    named_in_text = [VALUE, "conf/descriptor.py"]
    assert [file for row in rows for file in row] == [
        file for file in sent if file not in named_in_text and not file.endswith(own)
    ]
    assert sent[-1] == f"transports/{own}"
    assert set(sent_again) <= {VALUE}
    ws.release()


@pytest.mark.parametrize("make_one", [daphne_member, uvicorn_member, legacy_member])
async def test_a_broadcast_passes_the_files_that_the_page_names_and_none_of_them_twice_in_a_turn(make_one):
    transport, socket = make_one()
    ws, room = InboundWebSocket(transport), Room("room")
    await ws.accept()
    await ws.join("room")
    await room.abroadcast("warm")  # what is made once has been made
    await all_sent()
    await asyncio.sleep(0.02)  # and the pause behind it is over, which is one of 10 ms at most
    broadcast = room.abroadcast(["x"])
    with walked() as (published, published_again):
        broadcast.send(None)  # until it lets the loop go on
    with walked() as (sent, sent_again):
        await asyncio.sleep(0)
    assert socket.last == Payload('["x"]').frame
    with pytest.raises(StopIteration):
        broadcast.send(None)
    turns_of_the_loop = ((["Publishing", "Receiving"], published), (["Sending"], sent))
    for headings, way in turns_of_the_loop:
        page = "life-of-a-broadcast.md"
        rows = [files for heading in headings for files in rows_of(heading, page, 1, numbered=True)]
        also_named = {
            file for heading in headings for files in rows_of(heading, page, 2, numbered=True) for file in files
        }
        for files in rows:
            assert set(files) & set(way), f"none of {files} is on the way"
        assert [file for file in way if file not in also_named] == [
            file for files in rows for file in files if file in way
        ]
    assert set(published_again) | set(sent_again) <= {VALUE}
    assert set(published) & set(sent) == {"rooms/scheduler.py", "_core/pacing.py", "_core/instruments.py", VALUE}
    await all_sent()
    ws.release()
    await turns()


#: What is said in each section of the page on calls, and the answer to it.
LIVE_FRAMES = {
    "The join": ('{"join":"tickets/5","id":1}', '{"room":"tickets/5","recovered":false,"state":[5]}'),
    "The call": ('{"room":"tickets/5","event":"say","data":{"text":"hi"},"id":1}', "2"),
    "The leave": ('{"leave":"tickets/5","id":1}', "null"),
}


@pytest.mark.parametrize("make_one", [daphne_member, uvicorn_member, legacy_member])
async def test_frames_of_live_sockets_pass_the_files_that_the_page_names(make_one, routes, monkeypatch):
    monkeypatch.setattr(parked_sockets, "_SECONDS", 3600)  # or a slow test sees them looked after in between
    room = FastWS().room("tickets/{pk:int}")

    @room.on_join
    @room.on_leave
    async def note(ws: Any, pk: int) -> None: ...

    @room.state
    async def state(ws: Any, pk: int) -> list[int]:
        return [pk]

    @room.on("say")
    async def say(ws: Any, pk: int, text: str) -> int:
        return len(text)

    async def ways() -> Any:
        """The files that the frames of a new socket pass, by heading."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        transport, socket = make_one(queue.get)
        ws = InboundWebSocket(transport)
        await ws.accept()
        session = asyncio.create_task(LiveSession(ws, Introduction(Admission(Limits(), Access()))).run())
        await turns()
        for heading, (frame, ok) in LIVE_FRAMES.items():
            with walked() as (way, _):
                queue.put_nowait({"type": "websocket.receive", "text": frame})
                await turns()
            assert socket.last == Payload(f'{{"id":1,"ok":{ok}}}').frame
            yield heading, way
        session.cancel()
        ws.release()
        await turns()

    assert [heading async for heading, _ in ways()] == list(LIVE_FRAMES)  # what is made once has been made
    async for heading, way in ways():
        *rows, last = rows_of(heading, "life-of-a-call.md", 0)
        described_way = [file for row in rows for file in row]
        also_named = named_in_text(heading, "life-of-a-call.md", 1).difference(described_way)
        named = [file for file in way if file not in also_named]
        until = named.index("transports/framing.py") + 1
        assert named[:until] == described_way
        assert "_core/frames.py" in named[until:]
        assert set(named[until:]) <= set(last)


#: The files that are entered where somebody observes, and only there.
OF_TRACES = {"tracing.py", "traced_sockets.py", "rooms/room_traces.py", "live/live_traces.py"}


@pytest.mark.parametrize("make_one", [daphne_member, uvicorn_member, legacy_member])
async def test_where_nobody_observes_nothing_of_traces_is_entered(make_one, routes):
    assert tracing.observers == ()
    room = FastWS().room("tickets/{pk:int}")

    @room.on("say")
    async def say(ws: Any, room: Room, pk: int, text: str) -> int:
        await room.abroadcast({"text": text}, "said")
        return len(text)

    queue: asyncio.Queue[Any] = asyncio.Queue()
    transport, _ = make_one(queue.get)
    ws = InboundWebSocket(transport)
    await ws.accept()
    session = asyncio.create_task(LiveSession(ws, Introduction(Admission(Limits(), Access()))).run())
    frames = [*LIVE_FRAMES.values()]
    with walked() as (way, _):
        for frame, _answer in frames:
            queue.put_nowait({"type": "websocket.receive", "text": frame})
            await turns()
            await all_sent()
    assert {"live/calls.py", "rooms/room.py", "rooms/hub.py", "_core/fanout.py"} <= set(way)
    assert OF_TRACES.isdisjoint(way)
    session.cancel()
    ws.release()
    await turns()


# Idle sockets


def frames_of(task: asyncio.Task[Any]) -> list[Any]:
    """The coroutines of a task that waits, outermost first."""
    found, coroutine = [], task.get_coro()
    while hasattr(coroutine, "cr_await"):
        found.append(coroutine)
        coroutine = coroutine.cr_await
    return found


@on(*SERVERS)
async def test_an_idle_socket_holds_no_frames_of_middleware_and_no_backlog(kind, application):
    before = asyncio.all_tasks()
    async with served(kind, application, "/text") as client:
        await client.send("x")
        assert await client.receive() == "x"
        stacks = [frames_of(task) for task in asyncio.all_tasks() - before]
        (stack,) = [stack for stack in stacks if any(frame.__qualname__ == "Handshake.__call__" for frame in stack)]
        names = [coroutine.__qualname__ for coroutine in stack]
        ours = [name for name in names if "uvicorn" not in stack[names.index(name)].cr_code.co_filename]
        assert ours[:6] == [
            "_Application.__call__",
            "Handshake.__call__",
            "Endpoint._serve",
            "application.<locals>.echo_text",
            "WebSocket.__anext__",
            "ReceivingTransport.receive_data",
        ]
        for coroutine in stack[names.index("_Application.__call__") : names.index("Endpoint._serve") + 1]:
            assert set(coroutine.cr_frame.f_locals).isdisjoint({"scope", "receive", "send"})
        transport = stack[names.index("Endpoint._serve")].cr_frame.f_locals["transport"]
        assert transport._outbox is None  # an empty one takes memory, which nothing else shows
        assert not transport.is_sending
        if kind.server == "daphne":
            assert vars(transport._protocol).keys() & daphne_handshake.HANDSHAKE == set()


@pytest.mark.parametrize(
    "made",
    [
        lambda: ASGITransport({}, None, None),  # type: ignore[arg-type]
        lambda: daphne_member()[0],
        lambda: uvicorn_member()[0],
        lambda: legacy_member()[0],
        lambda: InboundWebSocket(ASGITransport({}, None, None)),  # type: ignore[arg-type]
        lambda: WebSocketMessage("x"),
        lambda: Payload("x"),
        lambda: Batch([]),
        lambda: Backlog(),
        lambda: Outbox(ASGITransport({}, None, None)),  # type: ignore[arg-type]
        lambda: ConnectionState(),
        lambda: OutboundWebSocket(WebsocketsTransport(None, "ws://peer")),  # type: ignore[arg-type]
        lambda: FanOut([(Payload("x"), None)], {}),
        lambda: Room("x"),
    ],
)
async def test_what_there_is_for_each_socket_or_message_has_no_dictionary(made):
    assert not hasattr(made(), "__dict__")


def test_the_kinds_of_servers_are_all_there():
    assert Kind("daphne") in SERVERS
    assert {kind.server for kind in SERVERS} == {"daphne", "websockets-sansio", "wsproto", "websockets"}
