"""The console over two real servers: what they serve is seen, closed and drained from here, through a real Redis."""

from __future__ import annotations

import gc
import time
import warnings

import pytest
from asgiref.sync import async_to_sync

from django_fastws.console import (
    SocketSearch,
    close_sockets,
    drain_process,
    kick,
    read_processes,
    read_room,
    read_rooms,
    read_socket,
    read_sockets,
)
from tests.conftest import layer_config
from tests.site.client import connect, until

pytestmark = [pytest.mark.redis, pytest.mark.server]

SECONDS = 30.0


@pytest.fixture
def layer(redis_server, settings):
    """One layer of the servers and of this process."""
    found = layer_config("ours", redis_server, "console")
    settings.CHANNEL_LAYERS = {"default": found}
    return found


async def test_sockets_of_two_servers_are_seen_and_acted_upon(layer, serve):
    servers = [serve("runws_server", layer=layer) for _ in range(2)]
    clients = [await connect(server, "/ws/room/lobby") for server in servers for _ in range(3)]
    other = await connect(servers[0], "/ws/echo")
    await other.ask("hello")

    async def all_are_there():
        return (await read_sockets(SocketSearch(room="lobby"), seconds=SECONDS)).total == 6

    await until(all_are_there)
    page = await read_sockets(limit=4, seconds=SECONDS)
    assert (page.total, page.answered, page.is_partial, len(page.rows)) == (7, 2, False, 4)
    rest = await read_sockets(limit=4, after=page.next, seconds=SECONDS)
    rows = page.rows + rest.rows
    assert len({row.id for row in rows}) == 7
    assert {row.process for row in rows} == set(page.processes)
    assert {row.transport for row in rows} == {"daphne"}
    (echo,) = [row for row in rows if row.route.endswith("/echo")]
    assert (echo.received_messages, echo.sent_messages, echo.rooms) == (1, 1, 0)
    detail = await read_socket(echo.id, seconds=SECONDS)
    assert detail is not None
    assert detail.row.address == "127.0.0.1"
    rooms = await read_rooms(seconds=SECONDS)
    assert [(row.name, row.members, row.processes) for row in rooms.rows] == [("lobby", 6, 2)]
    room = await read_room("lobby", limit=1, seconds=SECONDS)
    assert (room.members.total, len(room.members.rows)) == (6, 1)

    result = await close_sockets([echo.id], code=4000, reason="enough", seconds=SECONDS)
    assert (result.done, result.answered) == (1, 2)
    assert await other.closed() == (4000, "enough")
    members = [row.id for row in rows if row.rooms][:2]
    assert (await kick("lobby", ids=members, seconds=SECONDS)).done == 2

    async def four_are_left():
        return (await read_sockets(seconds=SECONDS)).total == 4

    await until(four_are_left)

    drained = (await read_processes(seconds=SECONDS)).rows[0]
    assert drained.kind == "server"
    assert drained.can_drain
    assert drained.memory_bytes
    assert (await drain_process(drained.name, seconds=SECONDS)).done == 1

    async def one_is_left():
        page = await read_processes(seconds=2.0)
        return [row.name for row in page.rows] != [] and drained.name not in page.processes

    await until(one_is_left)
    for client in clients:
        await client.close()


def test_a_sync_view_leaves_nothing_open(layer, serve):
    serve("runws_server", layer=layer)
    deadline = time.monotonic() + SECONDS
    while not async_to_sync(read_processes)(seconds=1.0).answered:  # it answers soon after it listens
        assert time.monotonic() < deadline
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            assert async_to_sync(read_processes)(seconds=SECONDS).answered == 1
            assert async_to_sync(close_sockets)(["0" * 32], seconds=SECONDS).done == 0
        gc.collect()
    assert [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)] == []
