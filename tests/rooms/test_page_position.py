"""The position of a room for a page, which must be rendered whatever becomes of the channel layer."""

from __future__ import annotations

import logging
import signal
import time

import pytest
from channels.layers import get_channel_layer

from django_fastws import (
    FastWS,
    History,
    HistoryUnavailable,
    Room,
    WebSocketConnectionError,
    WebSocketStateError,
)
from django_fastws.layer import local_broker
from django_fastws.rooms import page_position
from django_fastws.rooms.page_position import PAGE_SECONDS, _asking
from tests.conftest import layer_config
from tests.site.client import token

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture(autouse=True)
def asked_by_nobody_else():
    yield
    _asking[False].reset()


@pytest.fixture
def room():
    FastWS().room("pages-{key}", history=History())
    return Room(f"pages-{token()}")


def told(caplog):
    return [line.message for line in caplog.records if "has no position" in line.message]


def test_it_is_the_position_of_the_newest_event(room):
    assert page_position(room) == str(room.position())
    position = room.broadcast("x")
    assert page_position(room) == str(position)
    assert position.offset == 1


def test_a_room_without_history_is_a_mistake():
    with pytest.raises(HistoryUnavailable, match="has no history: declare it"):
        page_position(Room(token()))


def test_a_layer_without_history_has_no_position(room, settings, caplog):
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "tests.layer.test_broker.Watched"}}
    assert page_position(room) == ""
    assert told(caplog) == []  # a system check says so


@pytest.mark.django_db
def test_a_history_in_the_database_has_one_while_the_layer_is_away(room, monkeypatch, caplog):
    FastWS().room("rows-{key}", history=History(database=True))
    rows = Room(f"rows-{token()}")
    position = rows.broadcast("x")

    def read_history(*args, **kwargs):
        raise WebSocketConnectionError("on purpose")

    monkeypatch.setattr(local_broker, "read_history", read_history)
    assert [page_position(one) for one in (room, rows, room, rows)] == ["", str(position)] * 2
    assert len(told(caplog)) == 1


async def test_it_blocks_no_event_loop(room):
    with pytest.raises(WebSocketStateError, match=r"room\.aposition"):
        page_position(room)


@pytest.mark.redis
@pytest.mark.faults
@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "paused"])
def test_while_redis_is_away_pages_are_rendered_without_it(room, settings, own_redis, caplog, how):
    caplog.set_level(logging.WARNING, "django_fastws")
    settings.CHANNEL_LAYERS = {"default": layer_config("ours", own_redis)}
    room.broadcast("x")
    assert page_position(room)
    if how == "killed":
        own_redis.stop(signal.SIGKILL)
    else:
        own_redis.send_signal(signal.SIGSTOP)
    waited = []
    for _ in range(20):
        started = time.monotonic()
        assert page_position(room) == ""
        waited.append(time.monotonic() - started)
    assert sum(seconds > PAGE_SECONDS / 2 for seconds in waited) <= 2  # the others do not even ask
    assert len(told(caplog)) == 1
    if how == "killed":
        own_redis.start()
    else:
        own_redis.send_signal(signal.SIGCONT)
    ends = time.monotonic() + 20
    while not page_position(room):
        assert time.monotonic() < ends
        time.sleep(0.05)
    room.broadcast("y")
    assert page_position(room) == str(room.position())
    get_channel_layer().blocking.close()
