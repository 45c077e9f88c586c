"""Receivers of signals that an event loop finds out about: in order, one task, and a database that comes back."""

from __future__ import annotations

import asyncio
import logging
import threading

from django.db import OperationalError
from django.dispatch import Signal

from django_fastws.layer import announce, announcements


class Sender:
    pass


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (of receivers, which tell nobody)
            await asyncio.sleep(0.001)


async def test_they_are_made_in_order_by_one_task_however_many_wait():
    signal, heard, may_go_on = Signal(), [], asyncio.Event()

    async def receive(sender, number, **more):
        await may_go_on.wait()
        heard.append(number)

    signal.connect(receive)
    await asyncio.sleep(0)
    before = len(asyncio.all_tasks())
    for number in range(500):
        announce(signal, Sender, number=number)
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) - before < 10  # some of Django
    may_go_on.set()
    await until(lambda: len(heard) == 500)
    announce(signal, Sender, number=500)
    await until(lambda: len(heard) == 501)
    assert heard == list(range(501))


async def test_what_a_receiver_raises_is_logged_and_the_next_is_called(caplog):
    signal, heard = Signal(), []

    def receive(sender, number, **more):
        heard.append(number)
        raise RuntimeError("a receiver")

    signal.connect(receive)
    with caplog.at_level(logging.ERROR):
        announce(signal, Sender, number=1)
        announce(signal, Sender, number=2)
        await until(lambda: len(heard) == 2)
    assert any("a receiver" in str(record.exc_info) for record in caplog.records)


async def test_connections_are_looked_at_where_a_receiver_has_failed(monkeypatch):
    signal, heard = Signal(), []
    monkeypatch.setattr(announcements, "close_old_connections", lambda: heard.append("closed"))

    def receive(sender, number, **more):
        heard.append(number)
        if number == 1:
            raise OperationalError("the connection has broken")

    signal.connect(receive)
    for number in (0, 1, 2):
        announce(signal, Sender, number=number)
    await until(lambda: 2 in heard)
    assert heard == [0, 1, "closed", 2]


def test_in_a_thread_without_a_loop_they_are_made_at_once():
    signal, heard = Signal(), []

    def receive(sender, **more):
        heard.append(threading.current_thread())

    signal.connect(receive)
    announce(signal, Sender)
    assert heard == [threading.current_thread()]
