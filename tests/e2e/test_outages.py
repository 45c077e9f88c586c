"""Redis goes away under two servers: killed, started again empty, paused, cut off, slow; and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import check_log
from tests.e2e.test_layers import attempt
from tests.e2e.test_rooms import member, tell
from tests.layer.inside import BACK, LOST
from tests.site.client import Client, token, until
from tests.support.processes import ASGIServer, RedisServer, stopped
from tests.support.proxy import Proxy
from tests.support.scripts import get

pytestmark = [pytest.mark.faults, pytest.mark.redis, pytest.mark.server]


class Site:
    """A Redis behind a proxy, and two servers that know only the proxy."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.redis: RedisServer = stack.enter_context(RedisServer())
        self.proxy = stack.enter_context(Proxy(self.redis.port))
        layer = {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [self.proxy.url], "prefix": token()},
        }
        self.servers = [stack.enter_context(ASGIServer(kind, layer=layer)) for kind in ("daphne", "uvicorn")]
        self._seen = dict.fromkeys(self.servers, 0)

    @contextlib.contextmanager
    def fault(self, kind: str) -> Iterator[None]:
        self._seen = {server: server.log_size() for server in self.servers}
        if kind == "killed":
            self.redis.stop(signal.SIGKILL)
            yield
            self.redis.start()
        elif kind == "paused":
            with stopped(self.redis):
                yield
        else:
            if kind == "cut":
                self.proxy.cut()
            elif kind == "silent":
                self.proxy.is_frozen = True
            elif kind == "slow":
                self.proxy.delay = 0.2
            yield
            self.proxy.restore()

    def logs(self) -> list[str]:
        """What the servers have logged since the fault began."""
        return [server.log(self._seen[server]) for server in self.servers]

    async def is_noticed(self) -> bool:
        return all(LOST in log for log in self.logs())

    async def is_over(self) -> bool:
        return all(BACK in log for log in self.logs())


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        made = Site(stack)
        yield made
        for server in made.servers:
            print(f"── log of {server.kind}:", server.log()[-10_000:], sep="\n")
        for server in made.servers:
            check_log(server)


class Sender:
    """Broadcasts one number after another, and notes those that were taken."""

    def __init__(self, name: str, send: Any) -> None:
        self.name = name
        self._send = send
        self.taken: list[int] = []
        self.errors: list[str] = []
        self._task = asyncio.ensure_future(self._work())
        self._is_over = False

    async def _work(self) -> None:
        number = 0
        while not self._is_over:
            error = await self._send(f"{self.name} {number}")
            if error is None:
                self.taken.append(number)
            else:
                self.errors.append(error)
            number += 1
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        self._is_over = True
        await self._task


class Listener:
    """A member that notes all it gets."""

    def __init__(self, ws: Client) -> None:
        self.got: list[str] = []
        self._task = asyncio.ensure_future(self._work(ws))

    async def _work(self, ws: Client) -> None:
        async for text in ws:
            self.got.append(str(text))

    def of(self, sender: Sender) -> list[int]:
        return [int(text.split()[1]) for text in self.got if text.startswith(f"{sender.name} ")]


async def hear(listeners: list[Listener], senders: list[Sender], after: dict[Sender, int]) -> bool:
    """Whether each listener has something of each sender that was taken later than these counts.

    Not the first of it: that was on its way when the counts were taken, and may be lost (see what may be missing).
    """
    return all(
        not set(sender.taken[after[sender] + 1 :]).isdisjoint(listener.of(sender))
        for listener in listeners
        for sender in senders
    )


@pytest.mark.parametrize("kind", ["killed", "paused", "cut", "silent"])
async def test_members_stay_and_nothing_that_was_taken_meanwhile_is_missing_or_comes_twice(site, kind):
    room = token()
    one, two = site.servers
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(member(server, room)) for server in (one, one, two)]
        listeners = [Listener(ws) for ws in sockets]
        asking = await stack.enter_async_context(member(one))

        async def from_thread(text: str) -> str | None:
            try:
                answer = await asyncio.to_thread(get, two, "/broadcast/", room=room, text=text)
            except OSError as error:
                return str(error)
            return None if answer == "done" else answer

        senders = [
            Sender("socket", lambda text: attempt(asking, "broadcast", room, text)),
            Sender("thread", from_thread),
        ]
        none_yet = dict.fromkeys(senders, 0)
        await until(lambda: hear(listeners, senders, none_yet), "hearing at first")
        with site.fault(kind):
            await until(site.is_noticed, "the loss in the logs")
            before = {sender: len(sender.taken) for sender in senders}
            await asyncio.sleep(0.5)  # of being away
        returned = time.monotonic()
        await until(lambda: hear(listeners, senders, before), "hearing again")
        await until(site.is_over, "the end in the logs")
        over = {sender: len(sender.taken) for sender in senders}
        print(f"{kind}: heard again after {time.monotonic() - returned:.2f} s")
        for sender in senders:
            await sender.stop()
            assert sender.errors == []
            assert sender.taken == list(range(len(sender.taken)))
        await tell(asking, "broadcast", room=room, data="last")
        await until(lambda: _all_have(listeners, "last"), "the last")
        for listener in listeners:
            for sender in senders:
                got = listener.of(sender)
                assert got == sorted(set(got)), "in order, and once"
                # What Redis took just before it went may be lost on the way back, if the way was cut; and a process
                # that still waits for an answer to its last attempt finds Redis later than the other.
                missing = set(sender.taken) - set(got)
                most = {"cut": before[sender], "silent": over[sender]}.get(kind, -1)
                assert max(missing, default=-1) <= most
        assert not any(ws.close_code for ws in sockets)
    for log in site.logs():
        assert log.count(LOST) == log.count(BACK) == 1
        (seconds,) = re.findall(BACK + r"([0-9.]+) seconds\n", log)
        assert 0.5 <= float(seconds) < 60


async def _all_have(listeners: list[Listener], text: str) -> bool:
    return all(text in listener.got for listener in listeners)


async def test_a_slow_redis_is_no_outage(site):
    room = token()
    one, two = site.servers
    async with member(one, room) as ada, member(two) as bob:
        with site.fault("slow"):
            for number in range(4):
                assert await attempt(bob, "broadcast", room, str(number)) is None
                assert await ada.recv() == str(number)
            assert await attempt(bob, "join", token()) is None
            await asyncio.gather(*(asyncio.to_thread(get, two, "/broadcast/", room=room, text="x") for _ in range(4)))
            assert [await ada.recv() for _ in range(4)] == ["x"] * 4
    assert not any(LOST in log for log in site.logs())
