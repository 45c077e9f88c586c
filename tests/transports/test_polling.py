"""Polling: whoever waits for what may never come learns of the end of the connection."""

import asyncio

import pytest

from django_fastws.transports import polling
from django_fastws.transports.polling import wait_while


async def test_it_ends_with_what_is_waited_for_and_is_called_once():
    calls = []

    async def ready():
        calls.append(None)
        await asyncio.sleep(0)

    assert await wait_while(lambda: True, ready)
    assert len(calls) == 1


async def test_nothing_is_waited_for_on_a_closed_connection():
    assert not await wait_while(lambda: False, asyncio.Event().wait)


async def test_an_end_of_which_nobody_tells_is_noticed(monkeypatch):
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.001)
    looks = iter([True, True, False])
    async with asyncio.timeout(30):
        assert not await wait_while(lambda: next(looks), asyncio.Event().wait)


async def test_a_cancellation_and_an_error_get_out():
    waiting = asyncio.create_task(wait_while(lambda: True, asyncio.Event().wait))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    async def breaks():
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        await wait_while(lambda: True, breaks)
