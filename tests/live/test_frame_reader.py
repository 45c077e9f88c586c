"""Reading of a live socket: what is pending is bounded, an idle one has no task of its own, and nothing is lost."""

from __future__ import annotations

import asyncio

import pytest
from django.test import override_settings

from django_fastws.live import frame_reader, parked_sockets
from django_fastws.live.heartbeat import current_heartbeat
from django_fastws.live.parked_sockets import current_parked_sockets
from tests.live.client import Gate, client, declare, turns


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def room(gate):
    room = declare()

    @room.on("wait")
    async def wait(ws) -> int:
        await gate.wait()
        return 1

    @room.on("beside", concurrent=True)
    async def beside(ws, n: int) -> int:
        await gate.wait()
        return n

    @room.on("soon")
    async def soon(ws, n: int) -> int:
        await asyncio.sleep(0)
        return n

    @room.on("now")
    async def now(ws, n: int) -> int:
        return n

    return room


def others():
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def test_an_idle_socket_has_no_task_but_its_own(room, settings):
    async with client() as one:
        await one.join("room/1")
        before = others()
        assert len(before) == 1
        for n in range(3):
            assert await one.call("room/1", "now", n=n) == n
            assert others() == before
        assert await one.call("room/1", "soon", n=1) == 1
        assert len(others()) == 2  # another reads, until somebody looks after it
        (session,) = current_heartbeat()
        assert session.look_after() is False
        await turns()
        assert others() == before
        assert await one.call("room/1", "now", n=1) == 1


async def test_a_socket_whose_calls_have_waited_is_idle_again_soon(room, gate, monkeypatch):
    monkeypatch.setattr(parked_sockets, "_SECONDS", 0.001)
    async with client() as one:
        await one.join("room/1")
        before = others()
        await one.say(room="room/1", event="wait", id=1)
        await gate.came.wait()
        await asyncio.sleep(0.01)
        assert len(current_parked_sockets()) == 1  # it is looked at in vain
        gate.open()
        assert (await one.next())["ok"] == 1
        while current_parked_sockets():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await turns()
        assert others() == before
        assert await one.call("room/1", "soon", n=1) == 1  # and so again
        while others() != before:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert not current_parked_sockets()


async def test_no_frame_is_lost_when_the_reading_is_handed_on_and_taken_back(room):
    async with client() as one:
        await one.join("room/1")
        expected = []
        for n in range(200):
            await one.say(room="room/1", event=("now", "soon")[n % 3 == 0], data={"n": n}, id=n)
            expected.append({"id": n, "ok": n})
            if n % 5 == 0:
                for session in list(current_heartbeat()):
                    session.look_after()
                await turns(n % 7)
        assert [await one.next() for _ in range(200)] == expected


async def test_so_many_are_pending_and_no_more_are_read(room, gate):
    with override_settings(FASTWS_LIVE_PENDING=4):
        async with client() as one:
            await one.join("room/1")
            for n in range(10):
                await one.say(room="room/1", event="beside", data={"n": n}, id=n)
            await gate.crowd(4)
            await turns(50)
            assert gate.waiting == 4
            gate.open()
            assert sorted([(await one.next())["ok"] for _ in range(10)]) == list(range(10))


async def test_cancels_get_through_as_far_as_they_were_read(room, gate):
    with override_settings(FASTWS_LIVE_PENDING=2):
        async with client() as one:
            await one.join("room/1")
            for n in (1, 2):
                await one.say(room="room/1", event="beside", data={"n": n}, id=n)
            await one.say(cancel=1)
            assert (await one.next())["error"]["code"] == "cancelled"
            await one.say(room="room/1", event="beside", data={"n": 3}, id=3)
            await gate.crowd(2)


async def test_ten_thousand_calls_at_once_are_bounded_and_all_answered(room, gate):
    most = 0

    async with client() as one:
        await one.join("room/1")
        await one.join("room/2")
        for n in range(10_000):
            await one.say(room=f"room/{n % 2 + 1}", event=("soon", "now")[n % 3 == 0], data={"n": n}, id=n)
        answers = set()
        while len(answers) < 10_000:
            told = await one.next()
            assert told["ok"] == told["id"]
            answers.add(told["id"])
            if told["id"] % 100 == 0:
                (session,) = current_heartbeat()
                most = max(most, session.pending)
                assert len(others()) < 10
    assert most <= 64


@pytest.fixture
def looks(monkeypatch):
    """Whether a connection is lost that is not read is looked at all the time."""
    monkeypatch.setattr(frame_reader, "POLL_SECONDS", 0.001)


async def test_the_end_of_the_connection_is_found_out_though_nothing_is_read(room, gate, looks):
    with override_settings(FASTWS_LIVE_PENDING=1):
        async with client() as one:
            await one.join("room/1")
            await one.say(room="room/1", event="wait", id=1)
            await one.say(room="room/1", event="wait", id=2)
            await gate.came.wait()
            await turns()
            (session,) = current_heartbeat()
            session.ws.transport.state.end(1006, "")  # as a server knows it whose connection is cut
            await gate.deserted()
            assert session.is_over


async def test_the_end_of_the_connection_is_found_out_during_a_hello(gate, settings, looks):
    declare("lobby")
    is_told = False

    async def authenticate(token, scope):
        nonlocal is_told
        try:
            await gate.wait()
        except asyncio.CancelledError:
            is_told = True
            raise

    settings.FASTWS_LIVE_AUTHENTICATE = authenticate
    async with client() as one:
        await one.say(hello={"token": "x"}, id=1)
        await gate.came.wait()
        (session,) = current_heartbeat()
        session.ws.transport.state.end(1006, "")
        await gate.deserted()
        assert session.is_over
        assert is_told


async def test_a_hello_is_answered_before_what_comes_behind_it(room, gate, settings):
    async def authenticate(token, scope):
        await gate.wait()

    settings.FASTWS_LIVE_AUTHENTICATE = authenticate
    async with client() as one:
        await one.say(hello={"token": "x"}, id=1)
        await one.say(join="room/1", id=2)
        await gate.came.wait()
        settings.FASTWS_LIVE_PING_SECONDS = 1e-6
        for session in list(current_heartbeat()):
            session.beat()
        assert (await one.next()) == {"ping": 1}
        assert await one.silent()
        gate.open()
        assert [(await one.next())["id"] for _ in range(2)] == [1, 2]


async def test_an_error_of_the_server_is_not_swallowed_though_another_task_reads(room, gate):
    from channels.testing import WebsocketCommunicator  # noqa: F401 (daphne is installed)

    from django_fastws.asgi import get_asgi_application
    from tests.live.client import PATH

    events: asyncio.Queue = asyncio.Queue()
    sent: asyncio.Queue = asyncio.Queue()

    async def receive():
        event = await events.get()
        if isinstance(event, Exception):
            raise event
        return event

    scope = {
        "type": "websocket",
        "path": PATH,
        "headers": [(b"host", b"testserver")],
        "query_string": b"",
        "subprotocols": [],
        "asgi": {"version": "3.0"},
        "extensions": {"django_fastws.testing": {}},
    }
    task = asyncio.ensure_future(get_asgi_application()(scope, receive, sent.put))
    events.put_nowait({"type": "websocket.connect"})
    events.put_nowait({"type": "websocket.receive", "text": '{"join":"room/1","id":1}'})
    events.put_nowait({"type": "websocket.receive", "text": '{"room":"room/1","event":"wait","id":2}'})
    await gate.came.wait()
    await turns()
    events.put_nowait(RuntimeError("on purpose"))
    await task
    kinds = [sent.get_nowait() for _ in range(sent.qsize())]
    assert kinds[-1]["code"] == 1011
    assert gate.waiting == 0


class SlowClient:
    """A socket whose client has said two frames, and does not read."""

    def __init__(self):
        self.transport, self.inbox = self, asyncio.Queue()
        self.is_open = True
        for _ in range(2):
            self.inbox.put_nowait('{"room":"room/1","event":"any","id":1}')

    async def receive_data(self, call):
        return await self.inbox.get()

    def try_send_all(self, payloads, call):
        return False

    async def send_payload(self, payload, call):
        await asyncio.Event().wait()


class TwoFrames(frame_reader.FrameReader):
    """Answers one, and waits with the other until it is cancelled."""

    def __init__(self, ws):
        super().__init__(ws)
        self.ends = []

    def take(self, frame):
        return b"{}" if self.holds_one_more else self.wait()

    @property
    def holds_one_more(self):
        return not self.ws.inbox.empty()

    async def wait(self):
        try:
            await asyncio.Event().wait()
        except BaseException as error:
            self.ends.append(type(error))
            raise

    def over(self):
        if not self.is_over:
            self.is_over = True
            self.stop_tasks()


async def test_what_has_begun_is_cancelled_though_the_answers_before_it_cannot_be_sent():
    reader = TwoFrames(SlowClient())
    main = asyncio.create_task(reader.read_all())
    await turns()
    reader.over()
    await turns()
    await asyncio.wait_for(main, 30)
    assert reader.ends == [asyncio.CancelledError]
    assert not reader.has_tasks
