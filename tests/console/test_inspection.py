"""Pages that are read of all processes."""

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_fastws.console import (
    SocketSearch,
    read_busiest_rooms,
    read_processes,
    read_room,
    read_rooms,
    read_routes,
    read_socket,
    read_sockets,
)
from django_fastws.processes import topics
from django_fastws.rooms import Room

SECONDS = 10.0


async def every_page(read, **options):
    """The rows of all pages, one after the other."""
    rows, after = [], ""
    while True:
        page = await read(after=after, seconds=SECONDS, **options)
        assert not page.is_partial
        rows += page.rows
        after = page.next
        if not after:
            return rows, page.total


@pytest.fixture
def cluster(processes):
    """Three processes with sockets of all kinds, which one of them has none of."""
    found = processes(3)
    for number in range(12):
        found[number % 2].open(
            route="/a" if number % 3 else "/b",
            rooms=[f"room-{number % 5}"],
            buffered=number % 4 * 100,
            traffic=(number, 10 * number, number % 2, 7),
            client=(f"10.0.{number % 3}.{number}", 4000 + number),
        )
    return found


@pytest.mark.parametrize("limit", [1, 5, 12, 500])
@pytest.mark.parametrize("order", ["opened", "-opened", "address", "-buffered", "received_messages"])
async def test_pages_hold_every_socket_once_and_in_order(cluster, order, limit):
    rows, total = await every_page(read_sockets, order=order, limit=limit)
    assert total == len(rows) == len({row.id for row in rows}) == 12
    field = {"buffered": "buffered_bytes"}.get(order.removeprefix("-"), order.removeprefix("-"))
    values = [getattr(row, field) for row in rows]
    assert values == sorted(values, reverse=order.startswith("-"))


async def test_a_row_says_what_a_socket_is(process):
    process.open("/chat/{room}", client=("10.1.2.3", 50), path="/chat/5;token=abc", traffic=(1, 2, 3, 4), buffered=9)
    ((row,), total) = await every_page(read_sockets)
    assert (row.process, row.route, row.address, row.transport) == (process.name, "/chat/{room}", "10.1.2.3", "fake")
    assert (row.received_messages, row.received_bytes, row.sent_messages, row.sent_bytes) == (1, 2, 3, 4)
    assert (row.buffered_bytes, row.rooms, row.is_live, row.user, total) == (9, 0, False, "", 1)
    assert "abc" not in row.path


async def test_a_search_is_of_all_that_is_given(cluster):
    rows, total = await every_page(read_sockets, search=SocketSearch(route="/a", process=cluster[0].name), limit=2)
    assert total == len(rows) == 4
    assert {(row.route, row.process) for row in rows} == {("/a", cluster[0].name)}
    rows, _ = await every_page(read_sockets, search=SocketSearch(room="room-3"), limit=1)
    assert len(rows) == 2
    assert await every_page(read_sockets, search=SocketSearch(room="nowhere")) == ([], 0)


async def test_a_search_for_some_by_their_ids(cluster):
    every, _ = await every_page(read_sockets)
    wanted = sorted(row.id for row in every[::3])
    rows, total = await every_page(read_sockets, search=SocketSearch(ids=[*wanted, "gone"]), limit=2)
    assert (sorted(row.id for row in rows), total) == (wanted, len(wanted))
    here = [row for row in rows if row.process == cluster[0].name]
    search = SocketSearch(ids=wanted, process=cluster[0].name)
    assert (await every_page(read_sockets, search=search))[1] == len(here)


async def test_a_search_by_a_network_and_by_the_beginning_of_an_address(cluster):
    assert (await every_page(read_sockets, search=SocketSearch(address="10.0.1."), limit=1))[1] == 4
    assert (await every_page(read_sockets, search=SocketSearch(address="10.0.0.0/23"), limit=100))[1] == 8
    with pytest.raises(ValueError, match="does not appear to be"):
        await read_sockets(SocketSearch(address="10.0.1/x"))


@pytest.mark.parametrize(
    "options", [{"order": "age"}, {"limit": 0}, {"limit": 501}, {"after": "!"}, {"after": "WzFd"}, {"seconds": 0}]
)
async def test_what_is_no_page_is_refused_before_anybody_is_asked(process, options):
    with pytest.raises(ValueError, match=r"."):
        await read_sockets(**options)


async def test_one_socket_tells_more(process):
    ws = process.open(
        rooms=["b", "a"],
        client=("10.1.2.3", 50),
        headers=[(b"user-agent", b"browser"), (b"cookie", b"sessionid=1"), (b"authorization", b"x")],
    )
    detail = await read_socket(ws.id, seconds=SECONDS)
    assert detail is not None
    assert (detail.rooms, detail.port, detail.tags) == (["a", "b"], 50, ["shop"])
    assert detail.headers == {"user-agent": "browser"}
    assert detail.row.rooms == 2
    assert await read_socket("0" * 32, seconds=SECONDS) is None


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_rooms_are_added_up_over_processes(cluster, limit):
    rows, total = await every_page(read_rooms, limit=limit)
    assert [row.name for row in rows] == [f"room-{number}" for number in range(5)]
    assert sum(row.members for row in rows) == 12
    assert all(row.processes == 2 for row in rows)
    assert total <= 5
    assert (await read_rooms("OM-3", seconds=SECONDS)).rows[0].name == "room-3"


async def test_the_busiest_rooms_come_first(cluster):
    page = await read_busiest_rooms(3, seconds=SECONDS)
    members = [row.members for row in page.rows]
    assert members == sorted(members, reverse=True)
    assert members[0] == 3
    assert page.total == 5


async def test_a_room_has_members_and_no_presence_or_history_where_none_is_declared(cluster):
    room = await read_room("room-1", limit=2, seconds=SECONDS)
    assert (room.row.members, len(room.members.rows), room.members.total) == (3, 2, 3)
    assert (room.presence, room.history, room.position, room.errors) == (None, None, "", {})
    assert (await read_room("nowhere", seconds=SECONDS)).row.members == 0


async def test_processes_tell_what_they_are(cluster):
    page = await read_processes(seconds=SECONDS)
    assert [row.name for row in page.rows] == sorted(process.name for process in cluster)
    assert sorted(row.sockets for row in page.rows) == [0, 6, 6]
    row = next(row for row in page.rows if row.sockets)
    assert sum(row.sockets_by_route.values()) == 6
    assert not row.can_drain
    assert "received_messages" in row.counters
    assert row.versions["django"]
    assert (await read_routes(seconds=SECONDS)).rows == []


async def test_who_does_not_answer_is_missing_and_who_cannot_is_an_error(cluster, monkeypatch):
    real = topics["console.sockets"]

    async def answer(responder, arguments):
        if responder.name == cluster[0].name:
            await asyncio.sleep(60)
        if responder.name == cluster[1].name:
            return {"rows": "none", "more": False, "total": 0}
        return await real(responder, arguments)

    monkeypatch.setitem(topics, "console.sockets", answer)
    page = await read_sockets(seconds=0.5)
    assert (page.asked, page.answered, page.missing, page.is_partial) == (3, 2, 1, True)
    assert list(page.errors) == [cluster[1].name]
    assert page.rows == []
    assert page.processes == [cluster[2].name]


async def test_a_text_that_json_cannot_hold_keeps_nobody_else_from_being_seen(process):
    headers, rooms = [(b"origin", b"\xff")], ["\ud800", "a" * 2000]
    odd = process.open(path="/\ud800", rooms=rooms, headers=headers, client=("\udc80", 1))
    process.open(rooms=["größe", "a\0b"])
    page = await read_sockets(seconds=SECONDS)
    assert (len(page.rows), page.errors) == (2, {})
    detail = await read_socket(odd.id, seconds=SECONDS)
    assert detail is not None
    assert (detail.row.path, len(detail.rooms)) == ("/?", 2)
    listed = await read_rooms(seconds=SECONDS)
    assert ([row.name for row in listed.rows], listed.errors) == (["a\0b", "größe"], {})


async def test_server_code_that_listens_is_no_member(process):
    process.open(rooms=["a"])
    async with Room("a").listen(), Room("b").listen():
        page = await read_rooms(seconds=SECONDS)
        assert [(row.name, row.members) for row in page.rows] == [("a", 1)]
        assert (await read_sockets(SocketSearch(room="b"), seconds=SECONDS)).rows == []


def test_sync_code_without_a_loop_may_ask(cluster):
    assert async_to_sync(read_sockets)(seconds=SECONDS).total == 12


async def test_sync_code_in_a_thread_of_a_loop_may_ask(cluster):
    page = await sync_to_async(lambda: async_to_sync(read_sockets)(seconds=SECONDS))()
    assert page.total == 12


# Each example closes what it has opened; to start three threads for each would take longer than all of them.
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=9), st.integers(1, 4), st.booleans())
def test_however_sockets_are_spread_every_one_is_on_one_page(three, sockets, limit, reverse):
    opened = [three[place].open(buffered=value) for place, value in sockets]
    try:
        order = "-buffered" if reverse else "buffered"
        rows, total = asyncio.run(every_page(read_sockets, order=order, limit=limit))
        assert sorted(row.id for row in rows) == sorted(ws.id for ws in opened)
        assert total == len(opened)
    finally:
        for process in three:
            process.close_all()
