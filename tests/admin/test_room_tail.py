"""Live tail of a room: who may follow, what is sent, and its bounds."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser

from django_fastws import FastWS, Latest, LiveError, Room
from django_fastws.admin import room_tail
from django_fastws.admin.room_tail import EVENTS_PER_SECOND, MOST_BYTES, tail_name
from django_fastws.live import find, live_rooms
from django_fastws.testing import live
from tests.admin.fakes import NASTY
from tests.support.ids import shown


class Staff:
    """A user without a database.

    Args:
        permissions: that she has.
    """

    pk = id = 1
    is_authenticated = True
    is_anonymous = False

    def __init__(self, *permissions, is_staff=True, is_active=True):
        self.permissions, self.is_staff, self.is_active = permissions, is_staff, is_active

    def has_perms(self, permissions):
        return all(one.removeprefix("django_fastws.") in self.permissions for one in permissions)


BOTH = ("view_room", "read_room")


@pytest.fixture(autouse=True)
def rooms(routes):
    """A project with a live room, which has a live socket."""
    return FastWS().room("{name:path}")


async def follow(client, room):
    """Join the tail of a room, and follow: the iterator, behind its first item."""
    joined = await client.join(tail_name(room))
    items = aiter(joined.stream("follow"))
    assert await anext(items) == {"following": True}
    return items


@pytest.mark.parametrize("room", NASTY, ids=shown)
async def test_what_is_said_in_a_room_comes_whatever_its_name(room):
    async with live(user=Staff(*BOTH)) as client:
        items = await follow(client, room)
        await Room(room).abroadcast({"text": "tea"}, "said")
        await Room(f"{room}!").abroadcast({"text": "other"}, "said")
        await Room(room).abroadcast("plain")
        assert await anext(items) == {"event": "said", "data": '{"text":"tea"}'}
        assert (await anext(items))["data"] == '"plain"'


@pytest.mark.parametrize(
    ("user", "code"),
    [
        (AnonymousUser(), "unauthenticated"),
        (Staff("view_room"), "forbidden"),
        (Staff("read_room"), "forbidden"),
        (Staff(*BOTH, is_staff=False), "forbidden"),
        (Staff(*BOTH, is_active=False), "forbidden"),
    ],
    ids=["nobody", "view", "read", "customer", "inactive"],
)
async def test_who_may_not_read_rooms_cannot_join(user, code):
    async with live(user=user) as client:
        with pytest.raises(LiveError) as refused:
            await client.join(tail_name("tickets/5"))
    assert refused.value.code == code


@pytest.mark.parametrize("name", ["fastws-tail/rx", "fastws-tail/r_w", tail_name("half a pair \ud83d")])
async def test_a_name_that_is_none_is_said(name):
    async with live(user=Staff(*BOTH)) as client:
        joined = await client.join(name)
        with pytest.raises(LiveError, match="no name"):
            await anext(aiter(joined.stream("follow")))


async def test_what_is_long_is_cut():
    async with live(user=Staff(*BOTH)) as client:
        items = await follow(client, "a")
        await Room("a").abroadcast({"text": "ä" * MOST_BYTES})
        item = await anext(items)
    assert len(item["data"].encode()) <= MOST_BYTES
    assert item["bytes"] > 2 * MOST_BYTES


async def test_what_comes_too_fast_is_counted(monkeypatch):
    monkeypatch.setattr(room_tail, "process_clock", SimpleNamespace(monotonic=lambda: 100.0))
    async with live(user=Staff(*BOTH)) as client:
        items = await follow(client, "a")
        for number in range(EVENTS_PER_SECOND + 5):
            await Room("a").abroadcast(number)
        for number in range(EVENTS_PER_SECOND):
            assert (await anext(items))["data"] == str(number)
        assert (await anext(items))["skipped"] == 5


@pytest.mark.parametrize(("bound", "reason"), [("MOST_SECONDS", "time"), ("MOST_EVENTS", "events")])
async def test_it_ends_by_itself(monkeypatch, bound, reason):
    monkeypatch.setattr(room_tail, bound, {"MOST_SECONDS": 0.05, "MOST_EVENTS": 1}[bound])
    async with live(user=Staff(*BOTH)) as client:
        items = await follow(client, "a")
        if bound == "MOST_EVENTS":
            await Room("a").abroadcast(1)
            assert (await anext(items))["data"] == "1"
        assert await anext(items) == {"over": reason}
        with pytest.raises(StopAsyncIteration):
            await anext(items)


async def test_values_of_keys_have_their_keys():
    FastWS().room("prices", latest=Latest())
    async with live(user=Staff(*BOTH)) as client:
        items = await follow(client, "prices")
        await Room("prices").abroadcast(1.5, key="BTC")
        assert await anext(items) == {"event": "latest", "key": "BTC", "data": "1.5"}
        await Room("prices").aremove("BTC")
        assert await anext(items) == {"event": "latest", "key": "BTC", "removed": True}


def test_nothing_describes_it_and_it_comes_before_any_other(rooms):
    assert live_rooms() == [rooms]
    found = find(tail_name("a"))
    assert found is not None
    assert found[0] is room_tail.tail_room()
    assert find("fastws-tail")[0] is rooms
