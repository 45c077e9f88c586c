"""Which transport a connection has, what it looks for in its server, and what becomes of it without that."""

import asyncio
import functools
import random
import types

import pytest
from channels.sessions import InstanceSessionWrapper

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Batch, Payload
from django_fastws.transports import daphne as daphne_module
from django_fastws.transports import daphne_reading, uvicorn_reading
from django_fastws.transports import uvicorn as uvicorn_module
from django_fastws.transports.daphne import DaphneTransport
from django_fastws.transports.find import ASGITransport, find_transport
from django_fastws.transports.twisted import tcp_below
from django_fastws.transports.uvicorn import LegacyUvicornTransport, UvicornTransport
from tests.support.ids import shown
from tests.transports.connections import DAPHNE, KINDS, Closed, Kind, connected, in_its_loop, on
from tests.transports.fakes import start, turns, wrapping

# Any server


async def test_an_unknown_server_has_the_plain_transport(server):
    transport = find_transport(server.scope, server.receive, server.send)
    assert type(transport) is ASGITransport
    assert transport.name == "asgi"


async def test_a_transport_is_found_again_behind_its_own_receive_and_send(server, transport):
    scope = {**server.scope, "user": "ada"}
    again = find_transport(scope, transport.receive, transport.send)
    assert again is transport
    assert transport.scope is scope


async def test_a_transport_is_found_behind_channels_session_middleware(server, transport):
    sessions = InstanceSessionWrapper({**server.scope, "cookies": {}}, transport.send)
    assert find_transport(sessions.scope, transport.receive, sessions.send) is transport


@pytest.mark.parametrize("wrapped", [("send",), ("receive",), ("send", "receive")])
async def test_middleware_keeps_its_place(server, transport, wrapped):
    log = []
    receive = wrapping(transport.receive, log) if "receive" in wrapped else transport.receive
    send = wrapping(transport.send, log) if "send" in wrapped else transport.send
    outer = find_transport(server.scope, receive, send)
    assert outer is not transport
    server.inbox.put_nowait({"type": "websocket.receive", "text": "in"})
    await outer.receive()
    await outer.send_payload(Payload("one"))
    outer.post(Payload("two"))
    await turns()
    await outer.close(1000, "")
    assert server.sent == ["one", "two", 1000]
    assert len(log) == ("receive" in wrapped) + 3 * ("send" in wrapped)
    outer.release()


async def test_a_transport_on_top_of_another_is_closed_with_it(server, transport):
    outer = find_transport(server.scope, wrapping(transport.receive, []), transport.send)
    await transport.close(4000, "bye")
    assert not outer.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await outer.send_payload(Payload("x"))
    assert (raised.value.code, raised.value.reason) == (4000, "bye")


# Servers as they are


@on(*KINDS)
async def test_a_server_that_is_known_has_its_transport(kind):
    async with connected(kind) as connection:
        wanted = {"daphne": DaphneTransport, "websockets": LegacyUvicornTransport}.get(kind.server, UvicornTransport)
        assert type(connection.transport) is wanted
        assert connection.transport.name == kind.server.replace("websockets-sansio", "uvicorn").replace(
            "websockets", "uvicorn"
        ).replace("wsproto", "uvicorn")
        assert connection.transport.scope["scheme"] == ("wss" if kind.tls else "ws")
        await delivers(connection)


async def delivers(connection, *, reason="bye"):
    """Single messages and broadcasts arrive in order, and so does what the client sends, and the close."""
    transport, client = connection.transport, connection.client
    await transport.send_payload(Payload("one"))
    transport.post(Payload(b"two"))
    transport.post(Batch([Payload("three"), Payload("größe" * 20_000)]))
    await transport.send_payload(Payload("five"))
    assert await client.receive_many(5) == ["one", b"two", "three", "größe" * 20_000, "five"]
    await client.send("größe")
    assert await transport.receive_data() == "größe"
    closing = start(transport.close(4000, "bye"))
    assert await client.receive() == Closed(4000, reason)
    await closing


@on(*KINDS)
async def test_middleware_that_wraps_send_or_receive_is_passed(kind):
    for wrapped in (("send",), ("receive",), ("send", "receive")):
        log = []
        async with connected(kind) as connection:
            known = connection.transport
            connection.transport = find_transport(
                known.scope,
                wrapping(known.receive, log) if "receive" in wrapped else known.receive,
                wrapping(known.send, log) if "send" in wrapped else known.send,
            )
            await delivers(connection)
            connection.transport.release()
        assert len(log) == ("receive" in wrapped) + 6 * ("send" in wrapped)


# Servers that have changed inside


def changed(real, *missing, touched=None, **values):
    """An object of a server's next release: as it was, but names are missing, and some have other values.

    Args:
        touched: a set that gets the names that are asked for.
    """

    class Changed:
        __module__ = type(real).__module__

        def __getattr__(self, name):
            if touched is not None:
                touched.add(name)
            if name in missing:
                raise AttributeError(name)
            return values[name] if name in values else getattr(real, name)

        def __setattr__(self, name, value):
            setattr(real, name, value)

        def __delattr__(self, name):
            delattr(real, name)

        @property
        def __dict__(self):
            return getattr(real, "__dict__", {}) if "socket" not in missing else {}

    return Changed()


def with_protocol(change):
    """An ``alter`` for ``connected()``: puts a changed protocol object behind ``send``, which works as before."""

    def alter(receive, send):
        if isinstance(send, functools.partial):

            async def handle_reply(protocol, message):
                await send(message)

            return receive, functools.partial(handle_reply, change(send.args[0]))

        async def send_as_before(self, message):
            await send(message)

        return receive, types.MethodType(send_as_before, change(send.__self__))

    return alter


def lacking(name):
    return with_protocol(lambda protocol: changed(protocol, name))


def with_transport(name):
    """Likewise with a changed transport: Twisted's that holds the socket, or asyncio's."""

    def change(protocol):
        transport = protocol.transport
        if "socket" in getattr(transport, "__dict__", ()) or not hasattr(transport, "transport"):
            return changed(protocol, transport=changed(transport, name))
        below = changed(transport.transport, name)  # TLS stands on top
        return changed(protocol, transport=changed(transport, transport=below))

    return with_protocol(change)


PLAIN_KINDS = [kind for kind in KINDS if kind.loop == "asyncio" and not kind.tls]
LEGACY, SANSIO, WSPROTO = (Kind(name) for name in ("websockets", "websockets-sansio", "wsproto"))
NEEDED = [
    *((DAPHNE[0], name) for name in daphne_module.NEEDED),
    *((kind, name) for kind in (SANSIO, WSPROTO) for name in UvicornTransport.needed),
    *((LEGACY, name) for name in LegacyUvicornTransport.needed),
    *((kind, "transport") for kind in (SANSIO, WSPROTO, LEGACY)),
]


def pairs(kinds_and_names):
    """Run a test once for each pair."""
    ids = [f"{kind}-{name}" for kind, name in kinds_and_names]
    return lambda test: pytest.mark.parametrize(("kind", "name"), kinds_and_names, ids=ids)(in_its_loop(test))


@pairs(NEEDED)
async def test_a_server_that_lacks_something_has_the_plain_transport_which_delivers(kind, name):
    async with connected(kind, alter=lacking(name)) as connection:
        assert type(connection.transport) is ASGITransport
        await delivers(connection, reason="" if kind.server == "daphne" else "bye")  # daphne drops it


@on(*DAPHNE[:1])
async def test_a_daphne_whose_states_have_other_numbers_has_the_plain_transport(kind):
    alter = with_protocol(lambda protocol: changed(protocol, STATE_OPEN=7))
    async with connected(kind, alter=alter) as connection:
        assert type(connection.transport) is ASGITransport
        await delivers(connection, reason="")


@on(*DAPHNE)
async def test_a_send_that_is_not_daphnes_has_the_plain_transport(kind):
    def other(receive, send):
        def named(*args):
            return send.func(*args[-2:])

        for different in (
            functools.partial(send.func, send.args[0], send.args[0]),
            functools.partial(named, *send.args),
            functools.partial(functools.partial, *send.args),
        ):
            assert type(find_transport({}, receive, different)) is ASGITransport
        return receive, wrapping(send, [])

    async with connected(kind, alter=other) as connection:
        assert type(connection.transport) is ASGITransport
        await delivers(connection, reason="")


@pairs([(kind, name) for kind in (SANSIO, WSPROTO, LEGACY) for name in uvicorn_module.NEEDED_BELOW])
async def test_a_uvicorn_whose_transport_lacks_something_has_the_plain_transport(kind, name):
    async with connected(kind, alter=with_transport(name)) as connection:
        assert type(connection.transport) is ASGITransport
        await delivers(connection)


@pairs([(kind, name) for kind in DAPHNE for name in (*daphne_module.NEEDED_BELOW, "socket")])
async def test_a_daphne_on_another_twisted_writes_through_autobahn(kind, name):
    async with connected(kind, alter=with_transport(name)) as connection:
        assert type(connection.transport) is DaphneTransport
        await delivers(connection)


@on(*DAPHNE[:1])
@pytest.mark.parametrize("attributes", [{"socket": object()}, {"dataBuffer": None}], ids=shown)
async def test_a_daphne_whose_transport_has_something_else_writes_through_autobahn(kind, attributes):
    def change(protocol):
        tcp = tcp_below(protocol.transport)
        return changed(protocol, transport=changed(tcp, **attributes))

    async with connected(kind, alter=with_protocol(change)) as connection:
        assert type(connection.transport) is DaphneTransport
        assert connection.transport._tcp is None
        await delivers(connection)


#: What a daphne may lack, and still have its transport.
OPTIONAL = {"is_paused", "application_queue", "handshake_deferred", "http_request_uri", "note_answer", "head"}


@pairs([(kind, name) for kind in DAPHNE for name in sorted(OPTIONAL)])
async def test_what_daphne_may_lack_besides_is_not_missed(kind, name):
    async with connected(kind, alter=lacking(name)) as connection:
        assert type(connection.transport) is DaphneTransport
        assert connection.transport.ended() is None
        await delivers(connection)
    async with connected(kind, alter=lacking(name), accepts=False) as connection:
        await connection.transport.accept(None, [(b"x-one", b"1")])


async def test_a_daphne_that_tells_no_path_is_served():
    async with connected(DAPHNE[0], alter=lambda receive, send: (receive, send)) as connection:
        send = functools.partial(type(connection.protocol.server).handle_reply, connection.protocol)
        assert type(find_transport({}, None, send)) is DaphneTransport


async def use(kind, touched, below, **options):
    """Do with a transport all that it can do; what it asks of the protocol object and of the transport is noted."""

    def change(protocol):
        return changed(protocol, touched=touched, transport=changed(protocol.transport, touched=below))

    alter = with_protocol(change)
    async with connected(kind, alter=alter, **options) as connection:
        transport, client = connection.transport, connection.client
        await delivers_under_pressure(connection)
        transport.ended()
        waiting = [start(transport.ping()), start(transport.pong())]
        await turns()
        await client.close(4001, "bye")
        await client.receive_end()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(WebSocketDisconnect):
            await transport.receive_data()
        transport.ended()
        transport.lost_status()
        await transport.close(1000, "")
        transport.abort()
    async with connected(kind, alter=alter, **options) as connection:
        connection.transport.close_slow(1013, "too slow")
    async with connected(kind, alter=alter, **options) as connection:
        closing = start(connection.transport.close(4000, "bye"))
        await connection.client.receive_end()
        await closing
    async with connected(kind, alter=alter, accepts=False, **options) as connection:
        await connection.transport.deny(404, "Not Found")


async def delivers_under_pressure(connection):
    """Many messages, single and broadcast, to a client that begins to read late."""
    transport, client = connection.transport, connection.client

    async def send():
        for _ in range(20):
            await transport.send_payload(Payload(noise))
            transport.post(Payload("y" * 1000))

    noise = random.randbytes(60_000)
    sending = start(send())
    await asyncio.sleep(0.05)
    assert not sending.done()
    assert await client.receive_many(40) == [noise, "y" * 1000] * 20
    await sending


@on(*PLAIN_KINDS)
@pytest.mark.parametrize("compression", [False, True])
async def test_a_transport_uses_nothing_that_it_has_not_looked_for(kind, compression):
    touched, below = set(), set()
    await use(kind, touched, below, socket_bytes=65_536, compression=compression)
    if kind.server == "daphne":
        known = {*daphne_module.NEEDED, *daphne_reading.NEEDED, *OPTIONAL}
        known_below = {*daphne_module.NEEDED_BELOW, "reactor", "socket"}
    else:
        known = {*UvicornTransport.needed, *uvicorn_reading.NEEDED, "transport"}
        known_below = {*uvicorn_module.NEEDED_BELOW, "set_protocol"}
    if kind.server == "websockets":
        # It is asked whether it has what the others have, and at last, whether it has a handshake_complete.
        known |= {*LegacyUvicornTransport.needed}
    assert touched - known == set()
    assert below - known_below == set()
