"""Rooms of the doctor's own: what they prove, and that nothing of them is left."""

import pytest
import redis
from django.db import OperationalError

from django_fastws import FastWS, History, Presence
from django_fastws.doctor import room_checks
from django_fastws.doctor.room_checks import look_at_rooms
from django_fastws.models import HistoryEvent, HistoryRoom
from django_fastws.rooms import history_rows
from tests.conftest import layer_config


async def looked_at(*, is_layer_usable=True):
    return {result.check: result for result in await look_at_rooms(is_layer_usable=is_layer_usable)}


async def test_rooms_in_memory_work_and_leave_nothing(settings, routes):
    settings.CHANNEL_LAYERS = {}
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "ok", "presence": "ok"}


@pytest.mark.redis
async def test_rooms_in_redis_work_and_leave_nothing(settings, routes, own_redis):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    with redis.Redis(port=own_redis.port) as client:
        client.set("mine", "1")
        results = await looked_at()
        assert {check: result.status for check, result in results.items()} == {"history": "ok", "presence": "ok"}
        assert client.keys("*") == [b"mine"]


@pytest.mark.redis
async def test_rooms_in_a_cluster_work(settings, routes, redis_cluster):
    config = {"cluster": redis_cluster.url, "prefix": "doctor"}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "ok", "presence": "ok"}


@pytest.mark.redis
async def test_the_leases_of_others_stay(settings, routes, own_redis):
    from django_fastws.layer import get_broker

    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    store = get_broker().presence
    await store.abeat("another", settings_lease := 30)
    assert (await looked_at())["presence"].status == "ok"
    assert (await store.abeat("another", settings_lease)).was_known


async def test_a_history_in_the_database_is_removed_again(database_of_histories, settings, routes):
    settings.CHANNEL_LAYERS = {}
    FastWS().room("docs/{pk:int}", history=History(database=True))
    alias = database_of_histories
    before = await HistoryRoom.objects.using(alias).exclude(group="seed").acount()
    results = await looked_at()
    assert results["history in the database"].status == "ok"
    assert await HistoryRoom.objects.using(alias).exclude(group="seed").acount() == before
    assert not await HistoryEvent.objects.using(alias).filter(room__name__startswith="fastws.doctor").aexists()


async def test_a_database_without_tables_is_said_and_hides_nothing_else(
    database_of_histories, settings, routes, monkeypatch
):
    def store(*args):
        raise OperationalError("no such table: django_fastws_historyroom")

    settings.CHANNEL_LAYERS = {}
    FastWS().room("docs/{pk:int}", history=History(database=True))
    monkeypatch.setattr(history_rows, "store", store)
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {
        "history": "ok",
        "history in the database": "failed",
        "presence": "ok",
    }
    assert "such table" in results["history in the database"].detail
    assert "migrate" in results["history in the database"].hint


async def test_a_check_that_cannot_be_done_hides_no_other(settings, routes, monkeypatch):
    async def resumed(*args):
        raise RuntimeError("on purpose")

    settings.CHANNEL_LAYERS = {}
    monkeypatch.setattr(room_checks, "_resumed", resumed)
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "failed", "presence": "ok"}


@pytest.mark.redis
@pytest.mark.parametrize("name", ["core", "pubsub"])
async def test_a_layer_that_keeps_nothing(settings, routes, redis_server, name):
    settings.CHANNEL_LAYERS = {"default": layer_config(name, redis_server)}
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {
        "history": "skipped",
        "presence": "skipped",
    }
    FastWS().room("tickets/{pk:int}", history=History(), presence=Presence())
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "warning", "presence": "failed"}


async def test_without_a_layer_nothing_is_looked_at():
    assert {result.status for result in (await looked_at(is_layer_usable=False)).values()} == {"skipped"}


@pytest.mark.redis
async def test_a_redis_that_refuses_is_said(settings, routes, own_redis):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    with redis.Redis(port=own_redis.port) as client:
        client.execute_command("ACL", "SETUSER", "default", "-@scripting")
        results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "failed", "presence": "failed"}
    assert all("rights" in result.hint for result in results.values())


@pytest.mark.redis
async def test_events_that_do_not_arrive_are_said(settings, routes, redis_server, monkeypatch):
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", redis_server)}

    async def nothing(*args):
        return []

    monkeypatch.setattr(room_checks, "_collect", nothing)
    results = await looked_at()
    assert {check: result.status for check, result in results.items()} == {"history": "failed", "presence": "failed"}
