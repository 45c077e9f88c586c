"""The registry of users who are connected: close requests of every kind, and how long they are remembered."""

import logging

import pytest

from django_fastws import Room, adisconnect
from django_fastws._core.control import GROUP
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws.layer import get_broker
from django_fastws.testing import connect
from django_fastws.user_keys import user_key
from django_fastws.users import registry as users
from django_fastws.users.registry import current_users
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.users.closing import ADA, BOB, closed, is_open

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


async def publish(**more):
    fields = {"do": "disconnect", "user": user_key(ADA), "code": "4401", "reason": "bye", **more}
    await get_broker().apublish(Envelope.control(GROUP, fields))


@pytest.mark.parametrize("more", [{"later": "5"}, {"session": ""}, {"epoch": b"x", "code": "4401"}])
async def test_keys_that_are_not_known_are_ignored(ends, more):
    async with connect("/x", user=ADA) as ws:
        await publish(**more)
        assert await closed(ws) == (4401, "bye")


@pytest.mark.parametrize("more", [{"do": "mute"}, {"user": "auth.user:999999"}])
async def test_what_is_of_another_release_is_ignored(ends, more, caplog):
    async with connect("/x", user=ADA) as ws:
        await publish(**more)
        assert await is_open(ws)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


NONSENSE = [
    {"code": "many"},
    {"code": "1005"},
    {"reason": "x" * 124},
    {"code": None},
    {"code": "9" * 5000},
    {"delay": "nan"},
    {"users": "[" * 100_000},
    {"users": "[1]"},
    {"user": "x" * 100_000},
    {"session": "x" * 100_000},
]


@pytest.mark.parametrize("more", NONSENSE)
async def test_what_makes_no_sense_is_ignored_and_said_once_without_a_traceback(ends, more, caplog):
    async with connect("/x", user=ADA) as ws:
        for _ in range(5):
            await publish(**more)
        assert await is_open(ws)
    (record,) = [record for record in caplog.records if "make no sense" in record.getMessage()]
    assert record.exc_info is None
    assert len(record.getMessage()) < 400


async def test_no_room_has_the_groups_name(ends):
    async with connect("/x", user=ADA) as ws:
        for name in (GROUP, "users", "c.users", "fastws.c.users"):
            await Room(name).abroadcast({"type": "fastws.control", "v": "1", "do": "disconnect"})
            assert group_name(name) != GROUP
        assert await is_open(ws)


async def test_it_is_subscribed_for_as_long_as_somebody_is_expected():
    registry = users.Users()
    registry.expect()
    registry.expect()
    await registry.wait_until_subscribed()
    for is_left in (True, False):
        registry.unexpect()
        await registry.settled()
        assert registry.is_subscribed is is_left


async def test_the_memory_of_those_who_were_closed_has_a_bound(ends, monkeypatch):
    monkeypatch.setattr(users, "_MEMORY_SIZE", 10)
    async with connect("/x", user=BOB):
        for pk in range(100, 200):
            await adisconnect(user=pk)
        assert len(current_users()._closed) == 10
        monkeypatch.setattr(users, "_MEMORY_SECONDS", 0)
        await adisconnect(user=500)
        assert len(current_users()._closed) == 1
