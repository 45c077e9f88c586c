"""Random joins, leaves, cancels, cuts, forks and ends of users: what was recorded must be what is promised.

Each test prints its seed, which is that of pytest-randomly: ``--randomly-seed`` repeats its choices.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out

from django_fastws import FastWS, Room, WebSocket, WebSocketDisconnect, adisconnect, disconnect
from django_fastws.asgi import get_asgi_application
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.rooms.hub import current_hub
from django_fastws.testing import HandshakeDenied, connect
from django_fastws.users.registry import current_users
from tests.site.client import LIMIT, token, until
from tests.support.history import Broadcast, Call, Cut, Heard, History
from tests.support.processes import RedisServer
from tests.support.proxy import Proxy
from tests.support.scripts import STRICT, run

pytestmark = [pytest.mark.faults, pytest.mark.redis]

ROOMS = ["a", "b", "c"]
#: It always has a member, and no sender but the one that looks whether a cut is over.
STANDING = "standing"


@pytest.fixture
def seed() -> int:
    chosen = random.randrange(2**32)
    print(f"seed {chosen}")
    return chosen


class Layer:
    """The layer of this process, on a Redis that can be cut off."""

    def __init__(self, proxy: Proxy, server: RedisServer) -> None:
        self.proxy = proxy
        self.prefix = token()
        self.config = {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [proxy.url], "prefix": self.prefix},
        }
        self._server = server

    async def is_without_subscriptions(self) -> bool:
        with redis.Redis.from_url(self._server.url) as client:
            return not client.pubsub_channels(f"*{self.prefix}*")


@pytest.fixture
async def layer(settings: Any, redis_server: RedisServer) -> AsyncIterator[Layer]:
    with Proxy(redis_server.port) as proxy:
        made = Layer(proxy, redis_server)
        settings.CHANNEL_LAYERS = {"default": made.config}
        yield made
        await get_channel_layer().flush()


def recorded(history: History, name: str) -> Any:
    """The application of all routes, with a look at what goes out on one socket at the very moment."""
    application = get_asgi_application()

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        async def noted_send(event: Any) -> None:
            if event["type"] == "websocket.send" and event["text"]:
                sender, room, number = json.loads(event["text"])
                history.heard.append(Heard(name, sender, room, number, history.tick()))
            await send(event)

        await application(scope, receive, noted_send)

    return recorded


# ── Rooms ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Torture:
    """Sockets whose tasks join and leave at random, two senders, and what of it was recorded."""

    SOCKETS, ROUNDS, STEPS = 4, 4, 60
    LATE = 0.002  # seconds by which Redis hears and is heard, so that calls overlap

    def __init__(self, layer: Layer, seed: int) -> None:
        self.history = History()
        self._layer = layer
        self._seed = seed
        self._sockets: dict[str, WebSocket] = {}
        self._numbers: defaultdict[str, int] = defaultdict(int)

    async def handler(self, ws: WebSocket) -> None:
        await ws.accept()
        self._sockets[ws.query_params["name"]] = ws
        with contextlib.suppress(WebSocketDisconnect):
            await ws.receive()

    async def run(self, *, cuts: bool) -> None:
        self._layer.proxy.delay = self.LATE
        names = [f"socket {number}" for number in range(self.SOCKETS)]
        async with contextlib.AsyncExitStack() as stack:
            for name in [*names, *([STANDING] if cuts else [])]:
                await stack.enter_async_context(
                    connect(f"/torture?name={name}", application=recorded(self.history, name))
                )
            if cuts:
                await self._call("join", STANDING, STANDING)
            for turn in range(self.ROUNDS):
                await self._round(turn, names, cuts=cuts)
                # Whatever was on its way has arrived by then, or it does not.
                with contextlib.suppress(AssertionError):
                    await until(self._has_everything, "all that is owed")
                assert self.history.missing(self.history.tick()) == []

    async def _has_everything(self) -> bool:
        return not self.history.missing(self.history.tick())

    async def _round(self, turn: int, names: list[str], *, cuts: bool) -> None:
        over = threading.Event()
        sending = [self._send_async(turn, over), asyncio.to_thread(self._send_sync, turn, over)]
        async with asyncio.timeout(3 * LIMIT), asyncio.TaskGroup() as senders:
            for work in sending:
                senders.create_task(work)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for name in names:
                        for task in range(random.Random(f"{self._seed} {name}").choice([2, 3])):
                            tasks.create_task(self._live(name, random.Random(f"{self._seed} {turn} {name} {task}")))
                    if cuts and turn % 2:  # and rounds without a cut, in which nothing may be lost
                        tasks.create_task(self._cut())
            finally:
                over.set()

    async def _live(self, name: str, choices: random.Random) -> None:
        """What one task of a socket does in a round."""
        for _ in range(self.STEPS):
            do, room = choices.choice(["join", "leave"]), choices.choice(ROOMS)
            call = asyncio.create_task(self._call(do, name, room))
            if choices.random() < 0.3:
                await asyncio.sleep(choices.choice([0, 0.0005, self.LATE]))
                call.cancel()
            await asyncio.wait([call])
            if not call.cancelled():
                call.result()
            await asyncio.sleep(choices.choice([0, 0.001, 0.005]))

    async def _call(self, do: str, name: str, room: str) -> None:
        ws, call = self._sockets[name], Call(name, room, self.history.tick())
        (self.history.joins if do == "join" else self.history.leaves).append(call)
        try:
            await getattr(ws, do)(room)
            if do == "join":
                call.returned = self.history.tick()
                return
            # What had come for the socket before it left goes out first. This comes behind that, and marks the end.
            await ws.send("")
            call.returned = self.history.tick()
        except (WebSocketConnectionError, asyncio.CancelledError) as error:
            await ws.send("")
            call.failed = self.history.tick()
            if isinstance(error, asyncio.CancelledError):
                raise

    def _next(self, sender: str, room: str) -> Broadcast:
        self._numbers[sender] += 1
        made = Broadcast(sender, room, self._numbers[sender], self.history.tick())
        self.history.broadcasts.append(made)
        return made

    async def _broadcast(self, sender: str, room: str) -> None:
        made = self._next(sender, room)
        with contextlib.suppress(WebSocketConnectionError):
            await Room(room).abroadcast([made.sender, made.room, made.number])
            made.acknowledged = self.history.tick()

    async def _send_async(self, turn: int, over: threading.Event) -> None:
        choices = random.Random(f"{self._seed} {turn} async")
        while not over.is_set():
            rooms = choices.choices(ROOMS, k=choices.randrange(1, 10))
            await asyncio.gather(*[self._broadcast("async", room) for room in rooms])

    def _send_sync(self, turn: int, over: threading.Event) -> None:
        choices = random.Random(f"{self._seed} {turn} sync")
        while not over.is_set():
            made = self._next("sync", choices.choice(ROOMS))
            with contextlib.suppress(WebSocketConnectionError):
                Room(made.room).broadcast([made.sender, made.room, made.number])
                made.acknowledged = self.history.tick()
            time.sleep(choices.choice([0, 0, 0.001]))

    async def _cut(self) -> None:
        """Cut all connections to Redis, and wait until the subscriptions are there again.

        They are made again at once, in one command: the member that stands hears only when all are there.
        """
        cut = Cut(self.history.tick())
        self.history.cuts.append(cut)
        await asyncio.to_thread(self._layer.proxy.cut_once)
        first = self._numbers["probe"]

        async def is_over() -> bool:
            await self._broadcast("probe", STANDING)
            return any(heard.sender == "probe" and heard.number > first for heard in self.history.heard)

        await until(is_over, "the end of the cut")
        cut.over = self.history.tick()


@pytest.mark.parametrize("cuts", [False, True], ids=["whole", "cut"])
async def test_whatever_joins_leaves_and_is_cancelled_hears_what_it_must_and_nothing_else(routes, layer, seed, cuts):
    """Four sockets, two or three tasks of each in three rooms, a sender in the loop and one in a thread.

    Nobody hears anything of a room before ``join()`` was called, nor behind what it sends when ``leave()`` has
    returned or all its joins have failed. Nothing comes twice, and what one sender sends to one room comes in order.
    Each acknowledged broadcast is heard by those whose join had returned before it, and who have not begun to leave.

    What may be lost, as documented under "Delivery and order": what is published while the process is cut off from
    Redis, from the cut until its subscriptions are there again, and what Redis had taken just before and a broken
    connection did not bring any more. Also then, nothing is doubled, out of order, or heard outside.
    """
    torture = Torture(layer, seed)
    FastWS().websocket("/torture")(torture.handler)
    await torture.run(cuts=cuts)
    history = torture.history
    assert history.outside() == []
    assert history.disordered() == []
    counts = len(history.heard), len(history.owed(history.tick()))
    print(f"{len(history.broadcasts)} broadcasts, heard and owed: {counts}")
    assert min(counts) > 50, "it has tried something"
    assert len(history.cuts) == (2 if cuts else 0)
    await current_hub().settled()
    await until(layer.is_without_subscriptions, "the end of the subscriptions")


# ── Forks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
async def test_what_a_process_and_its_forks_broadcast_is_heard_once_and_in_order(routes, layer, seed):
    """Three threads broadcast while their process forks, and so do the children: nobody harms another's connections.

    Nothing is cut here, so nothing that was acknowledged may be lost.
    """
    history, room = History(), token()
    joined = asyncio.Event()

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        await ws.join(room)
        joined.set()
        with contextlib.suppress(WebSocketDisconnect):
            await ws.receive()

    FastWS().websocket("/forks")(handler)
    async with connect("/forks", application=recorded(history, "member")):
        await asyncio.wait_for(joined.wait(), LIMIT)
        out = await run(
            f"""
            import json, os, random, signal, threading, time

            room, over, counts = Room({room!r}), threading.Event(), {{}}

            def work(name):
                counts[name] = 0
                while not over.is_set():
                    room.broadcast([name, room.name, counts[name]])
                    counts[name] += 1
                    time.sleep(0.0005)

            def child(name):
                status = 1
                try:
                    signal.alarm(10)  # ends one that is stuck
                    for number in range(10):
                        room.broadcast([name, room.name, number])
                    status = 0
                finally:
                    os._exit(status)

            threads = [threading.Thread(target=work, args=(f"thread {{number}}",)) for number in range(3)]
            for thread in threads: thread.start()
            choices, children = random.Random({seed}), {{}}
            for number in range(8):
                time.sleep(choices.uniform(0, 0.01))
                pid = os.fork()
                if not pid:
                    child(f"child {{number}}")
                children[f"child {{number}}"] = pid
            ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children.values()]
            over.set()
            for thread in threads: thread.join()
            print(json.dumps([ends, counts | dict.fromkeys(children, 10)]))
            """,
            layer.config,
            options=[*STRICT, "-W", "ignore:This process:DeprecationWarning"],
        )
        ends, counts = json.loads(out)
        assert ends == [0] * 8
        assert min(counts.values()) > 0, "each has tried"

        async def all_have_come() -> bool:
            return len(history.heard) >= sum(counts.values())

        await until(all_have_come, f"{counts} of what was acknowledged")
    heard: defaultdict[str, list[int]] = defaultdict(list)
    for one in history.heard:
        heard[one.sender].append(one.number)
    assert heard == {sender: list(range(count)) for sender, count in counts.items()}


# ── Ends of users ───────────────────────────────────────────────────────────────────────────────────────────────────


class Visits:
    """Users who come and go, and of whom three are ended meanwhile from a loop and from threads.

    Attributes:
        ended: for each socket, by user, whether the server has closed or denied it.
    """

    ENDED, STAYING = [1, 2, 3], 4

    def __init__(self, seed: int) -> None:
        self.ended: defaultdict[int, list[bool]] = defaultdict(list)
        #: When each was last ended, in ticks.
        self._ends = dict.fromkeys([*self.ENDED, self.STAYING], 0)
        self._seed = seed
        self._tick = History().tick

    async def run(self) -> None:
        async with asyncio.timeout(3 * LIMIT), asyncio.TaskGroup() as tasks:
            for number in range(12):
                user = [*self.ENDED, self.STAYING][number % 4]
                tasks.create_task(self._come(user, random.Random(f"{self._seed} come {number}")))
            for number in range(3):
                tasks.create_task(self._end(random.Random(f"{self._seed} end {number}")))

    async def _come(self, user: int, choices: random.Random) -> None:
        for _ in range(15):
            try:
                async with connect("/visits", user=User(pk=user)) as ws:
                    opened = self._tick()
                    with contextlib.suppress(TimeoutError):
                        await ws.wait_closed(timeout=choices.choice([0.001, 0.01, 0.1]))
                    if self._ends[user] > opened:
                        await ws.wait_closed(timeout=LIMIT)
                    self.ended[user].append(ws.close_code == 4401)
            except HandshakeDenied:
                self.ended[user].append(True)
            await asyncio.sleep(choices.choice([0, 0.002]))

    async def _end(self, choices: random.Random) -> None:
        for _ in range(25):
            user = User(pk=choices.choice(self.ENDED))
            self._ends[user.pk] = self._tick()
            how = choices.choice(["loop", "thread", "log-out"])
            if how == "loop":
                await adisconnect(user=user)
            elif how == "thread":
                await asyncio.to_thread(disconnect, user=user)
            else:
                await asyncio.to_thread(user_logged_out.send, User, request=None, user=user)
            await asyncio.sleep(choices.choice([0, 0.005, 0.02]))


async def test_no_open_socket_outlives_the_end_of_its_user_and_no_other_is_closed(routes, layer, seed, settings):
    """Four users with three sockets at a time, which come and go, and 75 ends of three of them.

    Whatever was open when ``disconnect()`` was called, or its user was logged out, is closed, and so may be whoever
    comes while that is on its way. The sockets of the fourth user are not.
    """
    settings.FASTWS_SESSION_CHECK_SECONDS = None  # what is not heard would be found by that

    async def handler(ws: WebSocket) -> None:
        await ws.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await ws.receive()

    FastWS().websocket("/visits")(handler)
    visits = Visits(seed)
    await visits.run()
    for user in visits.ENDED:
        assert len(visits.ended[user]) == 45
        assert sum(visits.ended[user]) > 3, "it has tried something"
    assert visits.ended[visits.STAYING] == [False] * 45
    await current_users().settled()
    await until(layer.is_without_subscriptions, "the end of the subscriptions")
