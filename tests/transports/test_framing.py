"""Framing transports on protocol objects of real servers: bytes, order, back-pressure, bounds."""

import asyncio
import contextlib
import logging
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Batch, Payload
from django_fastws.transports import asgi, polling
from django_fastws.transports.framing import FramingTransport, high_water_bytes
from tests.support.examples import examples
from tests.transports.connections import KINDS, Closed, Kind, connected, on
from tests.transports.fakes import Server, broadcast, limits, start, turns, waiting

DAPHNE, DAPHNE_TLS, DAPHNE_LEAN_TLS, SANSIO, WSPROTO, LEGACY, SANSIO_TLS, UVLOOP_TLS = EACH = [
    Kind("daphne"),
    Kind("daphne", tls=True),
    Kind("daphne", tls=True, lean=True),
    Kind("websockets-sansio", "uvloop"),
    Kind("wsproto"),
    Kind("websockets"),
    Kind("websockets-sansio", tls=True),
    Kind("wsproto", "uvloop", tls=True),
]
SIZES = [0, 1, 125, 126, 65_535, 65_536, 65_537, 200_000, 1024 * 1024]
MESSAGES = [Payload(data) for size in SIZES for data in ("x" * size, b"\xff" * size)]
SMALL = 64 * 1024  # bytes that sockets hold


# The bytes


@on(*KINDS)
async def test_the_bytes_are_those_of_the_frames(kind):
    expected = [payload for payload in MESSAGES for _ in range(2)] + MESSAGES[:8]
    with limits("disconnect", 8 * 1024 * 1024):
        async with connected(kind) as connection:
            transport, client = connection.transport, connection.client

            async def send():
                for payload in MESSAGES:
                    await transport.send_payload(payload)
                    transport.post(payload)
                transport.post(Batch(MESSAGES[:8]))

            sending = start(send())
            got = await client.receive_many(len(expected))
            await sending
    assert (client.raw == b"".join(payload.frame for payload in expected)) is True  # without megabytes of differences
    assert (got == [payload.raw if payload.binary else payload.text for payload in expected]) is True


@on(*EACH)
async def test_messages_over_the_joined_size_go_out_one_by_one_or_together(kind):
    batch = Batch([Payload(f"{number}" * 10_000) for number in range(10)] * 3)
    async with connected(kind, socket_bytes=SMALL) as connection:
        for _ in range(3):
            connection.transport.post(batch)
        got = await connection.client.receive_many(90)
    assert got == [payload.text for payload in batch.payloads] * 3


# The order


@on(*KINDS)
async def test_whatever_is_mixed_comes_in_order_to_a_client_that_reads_in_fits_and_starts(kind):
    chance = random.Random(str(kind))
    # On a busy machine, more may wait than is allowed by default.
    with limits("disconnect", 16 * 1024 * 1024):
        await mix(kind, chance)


async def mix(kind, chance):
    async with connected(kind, socket_bytes=SMALL) as connection:
        transport, client, called = connection.transport, connection.client, []

        def message():
            called.append(f"{len(called)}:" + "x" * chance.choice([0, 10, 100, 5000, 60_000]))
            return Payload(called[-1])

        async def send():
            for _ in range(60):
                await transport.send_payload(message())
                if chance.random() < 0.3:
                    await asyncio.sleep(0)

        async def post():
            for _ in range(60):
                if chance.random() < 0.7:
                    broadcast(transport, *[message() for _ in range(chance.choice([1, 1, 2]))])
                else:
                    transport.post(Batch([message(), message()]))
                await asyncio.sleep(chance.choice([0, 0, 0.001]))

        async def ping():
            for number in range(20):
                await client.ping(b"%d" % number)  # what the server writes by itself comes between, and tears nothing
                await asyncio.sleep(0.001)

        async def all_of_it():
            await asyncio.gather(send(), send(), post(), ping())
            await transport.send_payload(Payload("the end"))

        sending, got = start(all_of_it()), []
        while (text := await client.receive()) != "the end":
            got.append(text)
            if chance.random() < 0.05:
                await asyncio.sleep(0.005)
        await sending
    assert got == called


def by_the_server(connection):
    """The server closes by itself, as it does when it stops, or when its client goes on without sense."""
    protocol = connection.protocol
    if hasattr(protocol, "sendCloseFrame"):
        protocol.sendCloseFrame(1012)
    elif hasattr(protocol, "shutdown"):
        protocol.shutdown()
    else:
        protocol.fail_connection(1012)


@on(*KINDS)
@pytest.mark.parametrize("who", ["transport", "slow", "server", "client"])
async def test_no_broadcast_follows_a_close_frame(kind, who):
    async with connected(kind) as connection:
        transport, client = connection.transport, connection.client
        for number in range(3):  # it is written to directly by now, where it can be
            broadcast(transport, Payload(str(number)))
            await turns()
        assert await client.receive_many(3) == ["0", "1", "2"]
        if who == "transport":
            start(transport.close(1012, ""))
        elif who == "slow":
            transport.close_slow(1012, "")
        elif who == "server":
            by_the_server(connection)
        else:
            await client.close(1012)
        for _ in range(30):  # before the client has read, and so answered, anything
            await asyncio.sleep(0)
            broadcast(transport, Payload("late"))
        for _ in range(3):
            await client.read_some(65_536)
            broadcast(transport, Payload("later"))
    assert opcodes(client.raw)[-1] is Opcode.CLOSE


def opcodes(data):
    """Those of the frames, which must be whole."""
    return [frame.opcode for frame in frames(data)]


class Pipe(FramingTransport):
    """A transport to a transport that holds so much, and gives it away when it is told to."""

    __slots__ = ("flushed", "held", "is_cut")

    ROOM = 40

    def __init__(self):
        server = Server()
        super().__init__(server.scope, server.receive, server.send)
        self.held = b""
        self.flushed = asyncio.Event()
        self.is_cut = False

    def _find_deflater(self):
        return None

    def _write_now(self, frames):
        if not self.is_open or (self.held and len(self.held) + len(frames) > self.ROOM):
            return False
        self.held += frames
        return True

    def _write_close(self, frame):
        self.held += frame

    def unsent(self):
        return len(self.held)

    _is_writable = True

    @property
    def _is_full(self):
        return len(self.held) > self.ROOM

    async def _flushed(self):
        await self.flushed.wait()

    def cut(self):
        self.is_cut = True

    def take(self, size):
        taken, self.held = self.held[:size], self.held[size:]
        if not self.held:
            self.flushed.set()
            self.flushed = asyncio.Event()
        return taken


def messages(data):
    """What another library reads in frames, which must be whole."""
    return [bytes(frame.data).decode() for frame in frames(data)]


def frames(data):
    stream, found = StreamReader(), []
    stream.feed_data(data)
    while stream.buffer:
        parser = Frame.parse(stream.read_exact, mask=False)
        try:
            next(parser)
        except StopIteration as done:
            found.append(done.value)
        else:
            raise AssertionError(f"torn: {bytes(stream.buffer)!r}")
    return found


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 60)),
        st.tuples(st.just("post"), st.integers(0, 60)),
        st.tuples(st.just("batch"), st.integers(0, 30)),
        st.tuples(st.just("take"), st.integers(0, 100)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("cancel"), st.integers(0, 5)),
    ),
    max_size=40,
)


@settings(max_examples=examples(200))
@given(steps=STEPS, policy=st.sampled_from(["drop_oldest", "drop_newest", None]))
def test_nothing_is_lost_or_torn_or_out_of_order_however_the_client_reads(steps, policy):
    async def run():
        transport, tasks, called, posted, data = Pipe(), [], [], set(), b""

        def message(size, *, is_post=False):
            called.append(f"{len(called)}:" + "x" * size)
            if is_post:
                posted.add(called[-1])
            return Payload(called[-1])

        for step, number in steps:
            if step == "send":
                tasks.append((asyncio.create_task(transport.send_payload(payload := message(number))), payload.text))
                await asyncio.sleep(0)
            elif step == "post":
                transport.post(message(number, is_post=True))
            elif step == "batch":
                transport.post(Batch([message(number, is_post=True), message(number, is_post=True)]))
            elif step == "take":
                data += transport.take(number)
            elif step == "turn":
                await turns(number)
            elif tasks:
                tasks[number % len(tasks)][0].cancel()
            assert waiting(transport)[1] >= 0
            most = (150 if policy else 10_000) + sum(len(text) for _, text in tasks) + 70
            assert len(transport.held) + waiting(transport)[1] <= most
        while transport.held or transport.is_sending:
            data += transport.take(1000)
            await turns()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        given_up = {text for task, text in tasks if task.cancelled()}
        got = messages(data)
        assert got == [text for text in called if text in set(got)]
        missing = set(called) - set(got)
        assert missing <= given_up | posted
        assert len(missing - given_up) == transport.dropped
        assert waiting(transport)[0] == 0
        transport.release()

    with limits(policy or "disconnect", 150 if policy else 10_000):
        asyncio.run(run())


# A client that reads too slowly for its handler


async def fill(connection, size=20_000):
    """Send until a send has to wait; returns the task that sends on and on."""

    async def send():
        number = 0
        while True:
            await connection.transport.send_payload(Payload(f"{number:05}".ljust(size, "x")))
            number += 1

    sending, before, held = start(send()), None, (0, 0)
    while held != before or not held[0]:
        await asyncio.sleep(0.02)
        before, held = held, (connection.transport.is_sending, connection.unsent)
        assert not sending.done()
    return sending


async def numbered(client, count):
    """So many messages of ``fill``, which must be the next ones."""
    return [int(text[:5]) for text in await client.receive_many(count)]


@on(*KINDS)
async def test_a_send_waits_and_little_is_held(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        await fill(connection)
        assert connection.unsent <= high_water_bytes() + 20_000
        assert waiting(connection.transport)[0] <= 1  # none, if the writer has taken it


@on(*KINDS)
async def test_a_send_that_waits_goes_on_when_the_client_reads(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        await fill(connection)
        assert await numbered(connection.client, 100) == list(range(100))


@on(*KINDS)
async def test_a_send_that_waits_is_told_of_a_reset(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        sending = await fill(connection)
        connection.client.reset()
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(sending, 8)
        assert raised.value.code == 1006
        assert not connection.transport.is_open


@on(*KINDS)
async def test_a_send_that_waits_is_told_of_a_close_by_a_client_that_goes_on_not_reading(kind, monkeypatch):
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.05)
    async with connected(kind, socket_bytes=SMALL) as connection:
        sending = await fill(connection)
        await connection.client.close(4001, "enough")
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(sending, 8)
        assert (raised.value.code, raised.value.reason) == (4001, "enough")


@on(*EACH)
async def test_a_send_that_waits_is_told_of_the_handlers_end(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        sending = await fill(connection)
        connection.transport.release()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(sending, 8)
        assert not connection.transport.is_sending


@on(*EACH)
async def test_sends_that_wait_and_are_given_up_leave_nothing_behind(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        transport = connection.transport
        sending = await fill(connection)
        sending.cancel()
        sent = 0
        for _ in range(50):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(transport.send_payload(Payload("given up".ljust(70_000))), 0.001)
                sent += 1  # the sockets have taken a little more
            assert waiting(transport)[0] == 0
        assert sent < 5
        transport.post(Payload("last"))
        given_up = 0
        while (text := await connection.client.receive()) != "last":
            given_up += text.startswith("given up")
        assert given_up <= sent + 5  # and what the writer had taken


@on(*EACH)
async def test_a_client_that_pings_and_does_not_read_is_served_on(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        await fill(connection)
        for number in range(10):
            await connection.client.ping(b"%d" % number)
            await asyncio.sleep(0.002)
        assert await numbered(connection.client, 100) == list(range(100))


@on(LEGACY, Kind("websockets", "uvloop"))
@pytest.mark.parametrize("is_first", [True, False])
async def test_the_librarys_own_waiting_and_the_transports_do_not_meet(kind, is_first):
    # The protocol has a way to wait for its transport for one at a time; another raises AssertionError.
    async with connected(kind, socket_bytes=SMALL) as connection:
        if is_first:
            while connection.transport.try_send(Payload("x" * 20_000)):
                await turns()
            ping = start(connection.protocol.ping())
            await turns()
            sending = start(connection.transport.send_payload(Payload("last")))
        else:
            sending = await fill(connection)
            ping = start(connection.protocol.ping())
        await asyncio.sleep(0.05)
        assert not sending.done()
        assert not ping.done()
        reading = start(connection.client.receive_end())
        await asyncio.wait_for(ping, 8)
        if is_first:
            await asyncio.wait_for(sending, 8)
        reading.cancel()


@on(*EACH)
async def test_a_consumers_send_waits_like_a_handlers(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:

        async def send():
            for number in range(500):
                await connection.transport.send({"type": "websocket.send", "text": f"{number:05}".ljust(20_000, "x")})

        sending = start(send())
        await asyncio.sleep(0.1)
        assert not sending.done()
        assert connection.unsent <= high_water_bytes() + 20_000 + 16
        assert await numbered(connection.client, 200) == list(range(200))


@on(*KINDS)
async def test_a_handler_that_only_sends_lets_others_have_their_turn(kind):
    async def send(transport, text):
        if not transport.try_send(Payload(text)):
            await transport.send_payload(Payload(text))

    await send_and_count_turns(kind, send)


@on(DAPHNE, DAPHNE_TLS, DAPHNE_LEAN_TLS)
async def test_a_consumer_that_only_sends_lets_others_have_their_turn(kind):
    await send_and_count_turns(kind, lambda transport, text: transport.send({"type": "websocket.send", "text": text}))


async def send_and_count_turns(kind, send):
    turns_of_others = 0

    async def other():
        nonlocal turns_of_others
        while True:
            await asyncio.sleep(0)
            turns_of_others += 1

    async with connected(kind) as connection:
        others = start(other())
        for number in range(1000):
            await send(connection.transport, str(number))
        others.cancel()
        assert 2 <= turns_of_others <= 10
        assert await connection.client.receive_many(1000) == [str(number) for number in range(1000)]


@on(*KINDS)
async def test_a_handler_that_sends_without_end_is_told_of_a_reset(kind):
    async with connected(kind) as connection:
        connection.client.reset()
        with pytest.raises(WebSocketDisconnect):
            await send_without_end(connection.transport)


async def send_without_end(transport):
    """Which a lost transport with TLS takes, as long as the loop cannot say that it is lost."""
    while True:
        await transport.send_payload(Payload("x" * 100))


# A client that reads too slowly for its rooms

LIMIT = 200_000
POSTS = [Payload(f"{number:05}".ljust(10_000, "x")) for number in range(200)]


@on(*KINDS)
@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_what_a_slow_client_is_not_sent_is_counted_and_said_once(kind, policy, caplog):
    with limits(policy, LIMIT), caplog.at_level(logging.WARNING):
        async with connected(kind, socket_bytes=SMALL) as connection:
            transport, client = connection.transport, connection.client
            for payload in POSTS:
                transport.post(payload)
                assert connection.unsent + waiting(transport)[1] <= LIMIT + len(payload.frame)
                await turns(1)
            assert transport.dropped
            got = await numbered(client, len(POSTS) - transport.dropped)
            transport.post(Payload("still here"))
            assert await client.receive() == "still here"
    if policy == "drop_newest":
        assert got[:20] == list(range(20))
    else:
        assert got[-10:] == list(range(190, 200))
    assert got == sorted(set(got))
    (record,) = [record for record in caplog.records if record.name == "django_fastws.transports"]
    assert "slow client" in record.getMessage()


@on(*KINDS)
async def test_a_slow_client_that_reads_in_time_is_told_why_it_is_closed(kind, caplog):
    with limits("disconnect", LIMIT):
        async with connected(kind, socket_bytes=SMALL) as connection:
            transport = connection.transport
            for payload in POSTS:
                transport.post(payload)
                await turns(1)
            assert transport.state.status == (1013, "too slow")
            assert transport.dropped
            got = []
            while not isinstance(message := await connection.client.receive(), Closed):
                got.append(int(message[:5]))
            assert message == (1013, "too slow")
            assert got == list(range(len(got)))
            with pytest.raises(WebSocketDisconnect) as raised:
                await asyncio.wait_for(transport.receive_data(), 8)
            assert raised.value.code == 1013
            await asyncio.sleep(0)
    assert len([record for record in caplog.records if record.name == "django_fastws.transports"]) == 1


@on(*KINDS)
async def test_a_slow_client_that_reads_nothing_is_cut_off(kind, caplog, monkeypatch):
    monkeypatch.setattr("django_fastws.transports.outbox._CLOSE_TIMEOUT_SECONDS", 0.05)
    with limits("disconnect", LIMIT):
        async with connected(kind, socket_bytes=SMALL) as connection:
            transport = connection.transport
            sending = await fill(connection, 70_000)
            for payload in POSTS:
                transport.post(payload)
            with pytest.raises(WebSocketDisconnect) as raised:
                await asyncio.wait_for(sending, 8)
            assert raised.value.code == 1013
            with pytest.raises(WebSocketDisconnect) as raised:
                await asyncio.wait_for(transport.receive_data(), 8)
            assert raised.value.code == 1013
            transport.post(Payload("late"))
            assert waiting(transport)[1] == 0
    assert len([record for record in caplog.records if record.name == "django_fastws.transports"]) == 1


@on(*EACH)
async def test_a_small_bound_is_kept(kind):
    with limits("drop_newest", 5000):
        async with connected(kind, socket_bytes=SMALL) as connection:
            for _ in range(500):
                connection.transport.post(Payload("x" * 1000))
                assert connection.unsent + waiting(connection.transport)[1] <= 5000 + 1004
                await turns(1)
            assert connection.transport.dropped


@on(*EACH)
async def test_one_message_over_the_bound_is_sent_all_the_same(kind):
    for policy in ("disconnect", "drop_oldest", "drop_newest"):
        with limits(policy):
            async with connected(kind) as connection:
                connection.transport.post(Payload("x" * 100_000))
                assert await connection.client.receive() == "x" * 100_000
                await connection.transport.send_payload(Payload("y" * 100_000))
                assert await connection.client.receive() == "y" * 100_000


# The close


@on(*KINDS)
async def test_a_close_comes_after_all_that_was_sent_or_posted_before(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        for payload in POSTS[:50]:
            connection.transport.post(payload)
        closing = start(connection.transport.close(4000, "bye"))
        assert await numbered(connection.client, 50) == list(range(50))
        assert await connection.client.receive() == Closed(4000, "bye")
        await closing
        connection.transport.post(Payload("late"))
        with pytest.raises(WebSocketDisconnect):
            await connection.transport.send_payload(Payload("late"))


@on(*KINDS)
@pytest.mark.parametrize("is_idle", [True, False])
async def test_a_close_of_a_client_that_reads_nothing_is_bounded(kind, is_idle, monkeypatch):
    monkeypatch.setattr(asgi, "_CLOSE_SECONDS", 0.1)
    async with connected(kind, socket_bytes=SMALL) as connection:
        transport = connection.transport
        if is_idle:
            for _ in range(5):
                while transport.try_send(Payload("x" * 20_000)):
                    pass
                await asyncio.sleep(0.01)
        else:
            await fill(connection)
        begun = time.perf_counter()
        await asyncio.wait_for(transport.close(1000, ""), 30)
        assert time.perf_counter() - begun < 8  # by default it has ten seconds or more
        assert not transport.is_open
        assert transport.state.status is not None


@on(DAPHNE, DAPHNE_TLS, DAPHNE_LEAN_TLS)
async def test_a_client_of_daphnes_has_more_than_a_second_for_what_was_sent_before_the_close(kind):
    async with connected(kind, socket_bytes=SMALL) as connection:
        while connection.transport.try_send(Payload("x" * 20_000)):
            await turns()
        connection.transport.try_send(Payload("last"))
        await connection.transport.close(4000, "bye")
        await asyncio.sleep(1.5)  # autobahn cuts off after one
        got = [await connection.client.receive() for _ in range(3)]
        assert got[0] == "x" * 20_000
        assert await connection.client.receive_end() == Closed(4000, "bye")


@on(DAPHNE_TLS, DAPHNE_LEAN_TLS, SANSIO_TLS, UVLOOP_TLS)
async def test_two_large_broadcasts_at_once_over_tls_make_nobody_slow_who_reads(kind):
    broadcast = Payload(b"x" * 1_000_000)
    async with connected(kind) as connection:
        for _ in range(2):
            connection.transport.post(broadcast)
        assert (connection.transport.dropped, connection.transport.is_open) == (0, True)
        assert [len(message) for message in await connection.client.receive_many(2)] == [1_000_000] * 2
