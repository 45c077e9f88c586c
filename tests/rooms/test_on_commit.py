"""Room.broadcast() in transactions and beside event loops, in the process of the sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from django.db import transaction

from django_fastws import Room, WebSocketConnectionError, WebSocketStateError
from django_fastws.testing import TestWebSocket
from django_fastws.testing import connect as connect_inside
from tests.site.client import LIMIT, token
from tests.support.processes import free_port


class Listener:
    """A member of a room, in an event loop of a thread of its own."""

    def __init__(self, room: str) -> None:
        self.room = Room(room)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._connection: Any = connect_inside(f"/ws/member?room={room}")
        self._ws: TestWebSocket = self._run(self._connection.__aenter__())
        self._run(self._ws.receive())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(LIMIT)

    def got(self) -> list[str]:
        """What came so far. Broadcasts of one thread come in order, so this sends one more that comes last."""
        texts: list[str] = []
        thread = threading.Thread(target=self.room.broadcast, args=("last",))  # has no transaction
        thread.start()
        thread.join()
        while (text := self._run(self._ws.receive_text())) != "last":
            texts.append(text)
        return texts

    def stop(self) -> None:
        self._run(self._connection.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener(token())
    yield found
    found.stop()


def test_a_thread_reaches_sockets_of_another_threads_loop(listener):
    listener.room.broadcast("one")
    listener.room.broadcast("two")
    assert listener.got() == ["one", "two"]


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_goes_out_once_after_the_commit(listener):
    with transaction.atomic():
        listener.room.broadcast("one")
        listener.room.broadcast("two")
        assert listener.got() == []
    assert listener.got() == ["one", "two"]


@pytest.mark.django_db(transaction=True)
def test_where_django_does_not_say_what_is_open_it_is_the_default_database(listener, monkeypatch):
    monkeypatch.setattr("django_fastws.rooms.on_commit.connections", object())
    listener.room.broadcast("one")
    assert listener.got() == ["one"]
    with transaction.atomic():
        listener.room.broadcast("two")
        assert listener.got() == []
    assert listener.got() == ["two"]


def fail_after_broadcast(room: Room) -> None:
    with transaction.atomic():
        room.broadcast("never")
        raise ZeroDivisionError


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_that_is_rolled_back_it_does_not_go_out(listener):
    with pytest.raises(ZeroDivisionError):
        fail_after_broadcast(listener.room)
    assert listener.got() == []


@pytest.mark.django_db(transaction=True)
def test_in_a_savepoint_that_is_rolled_back_it_does_not_go_out(listener):
    with transaction.atomic():
        listener.room.broadcast("outer")
        with pytest.raises(ZeroDivisionError):
            fail_after_broadcast(listener.room)
        with transaction.atomic():
            listener.room.broadcast("kept")
        assert listener.got() == []
    assert listener.got() == ["outer", "kept"]


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_it_goes_out_at_once_where_that_is_asked_for(listener):
    with transaction.atomic():
        listener.room.broadcast("at once", on_commit=False)
        assert listener.got() == ["at once"]
    assert listener.got() == []


@pytest.mark.django_db(transaction=True)
def test_in_a_transaction_the_data_is_that_of_the_call(listener):
    data = {"n": 1}
    with transaction.atomic():
        listener.room.broadcast(data)
        data["n"] = 2
    assert listener.got() == ['{"n":1}']


@pytest.mark.django_db(transaction=True)
def test_what_cannot_be_encoded_raises_in_the_transaction_not_after_it(listener):
    with pytest.raises(TypeError), transaction.atomic():
        listener.room.broadcast({"a": object()})
    assert listener.got() == []


@pytest.mark.django_db
def test_djangos_test_case_lets_it_out_with_its_own_means(listener, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        listener.room.broadcast("one")
    assert len(callbacks) == 1
    assert listener.got() == ["one"]


@pytest.mark.django_db(transaction=True)
def test_a_failure_after_the_commit_is_logged_and_not_raised(settings, caplog):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0
    config = {"hosts": [f"redis://127.0.0.1:{free_port()}"]}
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}
    with transaction.atomic():
        Room("größe").broadcast("lost")
        assert not caplog.records
    lost, record = caplog.records
    assert lost.name == "django_fastws.layer"
    assert (record.name, record.levelname) == ("django_fastws.rooms", "ERROR")
    assert record.getMessage() == "A broadcast to room 'größe' after a commit was lost"
    assert record.exc_info[0] is WebSocketConnectionError


async def test_in_a_running_loop_it_raises_at_once_and_says_what_to_write():
    started = time.monotonic()
    with pytest.raises(WebSocketStateError, match=r"write `await room\.abroadcast\(\.\.\.\)`"):
        Room("room").broadcast("x")
    assert time.monotonic() - started < 5


async def test_in_a_thread_beside_a_running_loop_it_works():
    async with connect_inside("/ws/member?room=beside") as ws:
        await ws.receive()
        await asyncio.to_thread(Room("beside").broadcast, "from a thread")
        assert await ws.receive_text() == "from a thread"
