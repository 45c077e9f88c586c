"""One task that writes for many sockets, and one for each whose server takes its time; without servers."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_fastws import WebSocketDisconnect
from django_fastws._core.fanout import FanOut
from django_fastws._core.messages import Payload
from django_fastws.transports.find import find_transport
from tests.support.examples import examples
from tests.transports.fakes import Server, start, turns

MANY = 300


def sockets(count, make=Server):
    """So many connections, each to a server of its own: the servers and the transports."""
    servers = [make() for _ in range(count)]
    return servers, [find_transport(server.scope, server.receive, server.send) for server in servers]


def broadcast(transports, text):
    fan_out = FanOut([(Payload(text), None)], {transport: transport.post for transport in transports})
    while not fan_out.run(transports, lambda: False):
        pass


@pytest.fixture
async def tasks():
    """The tasks that are made."""
    made, loop = [], asyncio.get_running_loop()

    def make(loop, coroutine, **options):
        made.append(asyncio.Task(coroutine, loop=loop, **options))
        return made[-1]

    loop.set_task_factory(make)
    yield made
    loop.set_task_factory(None)


async def test_a_broadcast_to_many_makes_one_task_where_each_send_returns_at_once(tasks):
    tasks.clear()  # of this test's own
    servers, transports = sockets(MANY)
    for number in range(3):
        broadcast(transports, str(number))
        await turns(2)
    assert [server.sent for server in servers] == MANY * [["0", "1", "2"]]
    assert len(tasks) == 3
    assert not any(transport.is_sending for transport in transports)


async def test_a_socket_that_is_behind_has_one_task_however_many_broadcasts_there_are(tasks):
    tasks.clear()
    servers, transports = sockets(MANY)
    for server in servers[::3]:
        server.gate.clear()
    for number in range(10):
        broadcast(transports, str(number))
        await turns(20)
    others = [server.sent for server in servers if server.gate.is_set()]
    assert others == len(others) * [[str(number) for number in range(10)]]
    assert sum(not task.done() for task in tasks) == len(servers[::3])
    for server in servers[::3]:
        server.gate.set()
    await turns(20)
    assert [server.sent for server in servers] == MANY * [[str(number) for number in range(10)]]
    assert all(task.done() for task in tasks)


async def test_where_every_send_takes_its_time_each_begins_in_the_turns_that_come():
    servers, transports = sockets(MANY)
    for server in servers:
        server.gate.clear()
    broadcast(transports, "hi")
    await turns(20)
    assert all(server.sending.is_set() for server in servers)
    for transport in transports:
        transport.release()


async def test_a_timeout_inside_of_a_send_ends_that_one_and_nothing_else():
    class Impatient(Server):
        async def send(self, event):
            async with asyncio.timeout(0.01):
                await super().send(event)

    servers, transports = sockets(5, Impatient)
    servers[1].gate.clear()
    broadcast(transports, "hi")
    await asyncio.sleep(0.05)
    assert [server.sent for server in servers] == [["hi"], [], ["hi"], ["hi"], ["hi"]]


async def test_a_socket_that_ends_stops_nobody_else():
    servers, transports = sockets(4)
    servers[0].gate.clear()
    broadcast(transports, "hi")
    transports[2].release()  # before anything was written
    await asyncio.sleep(0)
    transports[0].release()  # while it is written, and nobody has seen yet that this takes its time
    await turns()
    assert [server.sent for server in servers] == [[], ["hi"], [], ["hi"]]
    broadcast(transports[1:2], "again")
    await turns()
    assert servers[1].sent == ["hi", "again"]


async def test_a_send_of_a_handler_comes_behind_what_a_shared_task_is_about_to_write():
    (server,), (transport,) = sockets(1)
    transport.post(Payload("one"))
    await transport.send_payload(Payload("two"))
    assert server.sent == ["one", "two"]
    transport.post(Payload("three"))
    waiting = start(transport.send_payload(Payload("four")))
    transport.release()
    with pytest.raises(WebSocketDisconnect):
        await waiting


STEPS = st.lists(
    st.tuples(st.sampled_from(["broadcast", "post", "send", "hold", "go", "turn", "end"]), st.integers(0, 4)),
    max_size=40,
)


@settings(max_examples=examples(80))
@given(steps=STEPS)
def test_whatever_happens_each_socket_gets_its_own_in_order(steps):
    async def run():
        servers, transports = sockets(5)
        called, ended, sends = [[] for _ in servers], set(), []
        for number, (step, which) in enumerate(steps):
            if which in ended and step != "turn":
                continue
            if step == "broadcast":
                broadcast([one for place, one in enumerate(transports) if place not in ended], str(number))
                for place in set(range(5)) - ended:
                    called[place].append(str(number))
            elif step == "post":
                transports[which].post(Payload(str(number)))
                called[which].append(str(number))
            elif step == "send":
                sends.append(asyncio.create_task(transports[which].send_payload(Payload(str(number)))))
                await asyncio.sleep(0)
                called[which].append(str(number))
            elif step == "hold":
                servers[which].gate.clear()
            elif step == "go":
                servers[which].gate.set()
            elif step == "turn":
                await turns(which)
            else:
                transports[which].release()
                ended.add(which)
        for server in servers:
            server.gate.set()
        await turns(30)
        await asyncio.gather(*sends, return_exceptions=True)
        for place, server in enumerate(servers):
            if place in ended:
                assert server.sent == called[place][: len(server.sent)]
            else:
                assert server.sent == called[place]
                assert not transports[place].is_sending

    asyncio.run(run())
