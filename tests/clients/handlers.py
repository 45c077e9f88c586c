"""Handlers and callables of outbound routes, for the tests of several modules."""

from __future__ import annotations

import asyncio
import functools
import threading

from django_fastws import WebSocketDisconnect


async def once(ws):
    """A handler that makes sure of the connection and returns."""
    await ws.send("once")
    await ws.recv()


class Feed:
    """Callables of every kind.

    Attributes:
        calls: for each call, whether it was in the thread of the event loop.
    """

    def __init__(self, url):
        self.url = url
        self.calls = []

    def _answer(self):
        self.calls.append(threading.current_thread() is threading.main_thread())
        return f"{self.url}/{len(self.calls)}"

    def sync(self):
        return self._answer()

    async def asynchronous(self):
        await asyncio.sleep(0)
        return self._answer()

    def returns_awaitable(self):
        return self.asynchronous()


KINDS = {
    "function": lambda feed: feed.sync,
    "coroutine function": lambda feed: feed.asynchronous,
    "function that returns an awaitable": lambda feed: feed.returns_awaitable,
    "object": lambda feed: CallableObject(feed.sync),
    "object with an async __call__": lambda feed: AsyncCallableObject(feed.asynchronous),
    "partial": lambda feed: functools.partial(feed.sync),
    "partial of a coroutine function": lambda feed: functools.partial(feed.asynchronous),
}


async def by_async_for(ws):
    async for _ in ws:
        pass


async def by_recv(ws):
    while True:
        await ws.recv()


async def by_recv_caught(ws):
    try:
        while True:
            await ws.recv()
    except WebSocketDisconnect:
        return


async def by_send(ws):
    while True:
        await ws.send("x")
        await asyncio.sleep(0.001)


async def by_send_caught(ws):
    try:
        await by_send(ws)
    except WebSocketDisconnect:
        return


async def by_ping(ws):
    while True:
        await ws.ping()


class CallableObject:
    def __init__(self, function):
        self.function = function

    def __call__(self):
        return self.function()


class AsyncCallableObject(CallableObject):
    async def __call__(self):
        return await self.function()
