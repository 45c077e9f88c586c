"""A room with history while everything breaks: nothing that was acknowledged is lost, doubled or out of order.

Once with a Redis that keeps whatever it has confirmed; once with one that comes back empty; and once with one that
comes back empty while the history is in the database: then nothing is lost at all, and all go on by their positions.

Three publishers, an event loop, a thread with transactions and a script, tell of records that they have stored. Forty
clients on two servers resume, as the browser client does. Meanwhile clients are cut off, servers stopped and killed,
and Redis is cut off, paused, killed and started again. ``FASTWS_TORTURE_SECONDS`` says for how long, of each
of the three: 20, so that all take a minute, and 400 for the long run by hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from django_fastws import FastWS, History, Room, WebSocketConnectionError
from tests.site.client import token
from tests.support import records
from tests.support.databases import histories_in
from tests.support.processes import ROOT, ASGIServer, RedisServer, stopped
from tests.support.proxy import Proxy
from tests.support.resuming import Event, Fault, Places, ResumingClient
from tests.support.scripts import SETUP, environment

pytestmark = [pytest.mark.faults, pytest.mark.redis, pytest.mark.server, pytest.mark.long]

SECONDS = float(os.environ.get("FASTWS_TORTURE_SECONDS", "20"))
CLIENTS = 40
BOUNDS = {"messages": 20_000, "seconds": 3600, "bytes": 64 * 1024 * 1024}
#: Options of Redis, and the pattern of rooms, which the servers have, too.
KINDS = {
    "persistent": (["--appendonly", "yes", "--appendfsync", "always"], "kept/{name}"),
    "empty": ([], "kept/{name}"),
    "database": ([], "stored/{name}"),
}
SCRIPT = (
    SETUP
    + """
import sys
from tests.support import records

room = Room(sys.argv[1])
for line in sys.stdin:
    number = records.append(sys.argv[1], "script")
    try:
        room.broadcast(["script", number], "told")
    except WebSocketConnectionError:
        print(-number, flush=True)
    else:
        print(number, flush=True)
"""
)


class Torture:
    """The servers, the Redis, and what is done to them."""

    def __init__(self, stack: contextlib.ExitStack, kind: Kind, redis: RedisServer) -> None:
        self.room = kind.room
        self.alias = kind.alias
        self.variables = kind.variables
        self.redis = redis
        self.redis_proxy = stack.enter_context(Proxy(redis.port))
        self.layer = {
            "BACKEND": "django_fastws.layer.RedisChannelLayer",
            "CONFIG": {"hosts": [self.redis_proxy.url], "prefix": token()},
        }
        settings = {"FASTWS_HISTORY_CHECK_SECONDS": 2, "FASTWS_DRAIN_SECONDS": 1}
        self.servers = [
            stack.enter_context(ASGIServer(kind, layer=self.layer, settings=settings, environment=self.variables))
            for kind in ("runws_server", "uvicorn")
        ]
        self.proxies = [stack.enter_context(Proxy(server.port)) for server in self.servers]
        self.places = Places()
        self.clients = [ResumingClient(self.room, self._ports, self.places) for _ in range(CLIENTS)]
        self.acknowledged: dict[str, set[int]] = {"loop": set(), "thread": set(), "script": set()}
        self.refused: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.is_over = False

    def _ports(self) -> list[int]:
        return [proxy.port for proxy in self.proxies]

    def told(self, publisher: str, number: int, *, is_acknowledged: bool) -> None:
        if is_acknowledged:
            self.acknowledged[publisher].add(number)
        else:
            self.refused[publisher] += 1

    # Publishers

    async def publish_in_loop(self) -> None:
        room = Room(self.room)
        while not self.is_over:
            number = records.append(self.room, "loop")
            try:
                await room.abroadcast(["loop", number], "told")
            except WebSocketConnectionError:
                self.told("loop", number, is_acknowledged=False)
            else:
                self.told("loop", number, is_acknowledged=True)
            await asyncio.sleep(random.expovariate(100))

    def publish_in_thread(self) -> None:
        room = Room(self.room)
        while not self.is_over:
            if self.alias == DEFAULT_DB_ALIAS:
                self._publish_after(room)
            else:
                self._publish_within(room)
            time.sleep(random.expovariate(100))
        connections[self.alias].close()

    def _publish_after(self, room: Room) -> None:
        positions: list[Any] = []
        with transaction.atomic():
            User.objects.filter(username="nobody").update(first_name="x")
            number = records.append(self.room, "thread")
            transaction.on_commit(lambda: positions.append(self._broadcast(room, number)))
        self.told("thread", number, is_acknowledged=positions[0])

    def _publish_within(self, room: Room) -> None:
        with contextlib.suppress(ZeroDivisionError), transaction.atomic(using=self.alias):
            room.broadcast(["thread", 0], "told")
            raise ZeroDivisionError
        with transaction.atomic(using=self.alias):
            number = records.append(self.room, "thread")
            room.broadcast(["thread", number], "told")
        self.told("thread", number, is_acknowledged=True)

    @staticmethod
    def _broadcast(room: Room, number: int) -> bool:
        try:
            room.broadcast(["thread", number], "told")
        except WebSocketConnectionError:
            return False
        return True

    async def publish_in_script(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SCRIPT,
            self.room,
            cwd=ROOT,
            env={**environment(self.layer), **self.variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            while not self.is_over:
                process.stdin.write(b"\n")
                number = int(await process.stdout.readline())
                self.told("script", abs(number), is_acknowledged=number > 0)
                await asyncio.sleep(random.expovariate(100))
        finally:
            process.stdin.close()
            await process.wait()

    # Faults

    async def some_clients_are_cut(self) -> None:
        for client in random.sample(self.clients, random.randrange(1, CLIENTS // 2)):
            client.cut()

    async def all_of_a_server_are_cut(self) -> None:
        await asyncio.to_thread(random.choice(self.proxies).cut_once)

    async def a_server_is_stopped(self) -> None:
        await self._restart(random.choice(self.servers), signal.SIGTERM)

    async def a_server_is_killed(self) -> None:
        await self._restart(random.choice(self.servers), signal.SIGKILL)

    async def _restart(self, server: ASGIServer, signum: int) -> None:
        await asyncio.to_thread(server.stop, signum)
        await asyncio.to_thread(server.start)

    async def redis_is_cut_off(self) -> None:
        await asyncio.to_thread(self.redis_proxy.cut_once)

    async def redis_is_away(self) -> None:
        await asyncio.to_thread(self.redis_proxy.cut)
        await asyncio.sleep(random.uniform(0.1, 1))
        await asyncio.to_thread(self.redis_proxy.restore)

    async def redis_is_silent(self) -> None:
        self.redis_proxy.is_mute = True
        await asyncio.sleep(random.uniform(0.1, 2.5))
        self.redis_proxy.is_mute = False
        await asyncio.to_thread(self.redis_proxy.cut_once)

    async def redis_is_paused(self) -> None:
        with stopped(self.redis):
            await asyncio.sleep(random.uniform(0.1, 2))

    async def redis_is_killed(self) -> None:
        await asyncio.to_thread(self.redis.stop, signal.SIGKILL)
        await asyncio.sleep(random.uniform(0, 0.5))
        await asyncio.to_thread(self.redis.start)

    async def break_everything(self, seconds: float) -> None:
        kinds: list[Callable[[], Any]] = [
            self.some_clients_are_cut,
            self.some_clients_are_cut,
            self.all_of_a_server_are_cut,
            self.a_server_is_stopped,
            self.a_server_is_killed,
            self.redis_is_cut_off,
            self.redis_is_away,
            self.redis_is_silent,
            self.redis_is_paused,
            self.redis_is_killed,
        ]
        ends, due = time.monotonic() + seconds, list(kinds)
        random.shuffle(due)
        while time.monotonic() < ends:
            kind = due.pop() if due else random.choice(kinds)
            self.faults[kind.__name__] += 1
            await kind()
            await asyncio.sleep(random.uniform(0.05, 0.4))

    # What has come of it

    async def faults_of_history(self) -> list[Fault]:
        """What is wrong with all that the history has, in itself, and beside what clients were told."""
        found: list[Fault] = []
        last = None
        while page := await Room(self.room).ahistory(500, before=last):
            offsets = [stored.position.offset for stored in page]
            whole = list(range(offsets[0], last.offset if last else offsets[-1] + 1))
            if offsets != whole:
                found.append(Fault("wrong", f"the history has holes: {sorted({*whole} - {*offsets})}"))
            for stored in page:
                publisher, number = stored.data
                found += self.places.note(stored.position, (publisher, number))
            last = page[0].position
        return found

    def lost(self) -> list[Event]:
        return [lost for client in self.clients for lost in client.lost(self.acknowledged)]

    def report(self, faults: list[Fault]) -> str:
        clients = self.clients
        counts = {
            name: sum(getattr(one, name) for one in clients) for name in ("events", "joins", "resumed", "states")
        }
        counts |= {"cuts": sum(one.cuts for one in clients), "gaps": sum(one.gaps for one in clients)}
        published = {publisher: len(numbers) for publisher, numbers in self.acknowledged.items()}
        wrong = {"lost": len(self.lost()), "out of order": len(self.places.disordered(self.acknowledged))}
        wrong |= {kind: sum(fault.kind == kind for fault in faults) for kind in ("doubled", "wrong")}
        done = {"acknowledged": published, "refused": self.refused, "positions": len(self.places.events)}
        return json.dumps({**done, "faults": self.faults, "clients": counts, "broken promises": wrong}, indent=1)


class Kind(NamedTuple):
    """Options of Redis, the room, the database of its transactions, and where the servers have theirs."""

    options: list[str]
    room: str
    alias: str = DEFAULT_DB_ALIAS
    variables: Mapping[str, str] = MappingProxyType({})


@pytest.fixture
def kind(request: pytest.FixtureRequest, django_db_blocker: Any, routes: Any, settings: Any) -> Iterator[Kind]:
    options, pattern = KINDS[request.param]
    in_database = request.param == "database"
    FastWS().room(pattern, history=History(**BOUNDS, database=in_database))
    made = Kind(options, pattern.replace("{name}", token()))
    if not in_database:
        yield made
        return
    server = request.getfixturevalue("postgres_server")
    request.getfixturevalue("postgres_session_key")  # it is migrated
    with django_db_blocker.unblock(), histories_in(server.settings, settings) as alias:
        yield made._replace(alias=alias, variables={"TEST_DATABASE_OPTIONS": json.dumps(server.settings)})


@pytest.fixture
async def torture(
    kind: Kind, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Torture]:
    monkeypatch.setenv("TEST_RECORDS", str(tmp_path))
    records.directory(kind.room).mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        made = Torture(stack, kind, stack.enter_context(RedisServer(*kind.options)))
        settings.CHANNEL_LAYERS = {"default": made.layer}
        try:
            yield made
        finally:
            made.is_over = True
            for client in made.clients:
                await client.stop()
            await get_channel_layer().flush()


@pytest.mark.parametrize(
    "kind", ["persistent", "empty", pytest.param("database", marks=pytest.mark.postgres)], indirect=True
)
@pytest.mark.django_db(transaction=True)
async def test_nothing_acknowledged_is_lost_doubled_or_out_of_order(torture: Torture) -> None:
    seed = random.randrange(2**32)
    random.seed(seed)
    print(f"seed {seed}")
    if SECONDS > 60:
        faulthandler.cancel_dump_traceback_later()  # which would end it after five minutes
    for client in torture.clients:
        client.start()
    thread = threading.Thread(target=torture.publish_in_thread)
    thread.start()
    publishers = [asyncio.create_task(torture.publish_in_loop()), asyncio.create_task(torture.publish_in_script())]
    try:
        for _ in range(4):
            await torture.break_everything(SECONDS)
            if any(client.resumed for client in torture.clients):
                break  # on a machine that does much else, all may have been away for too long to resume
        await asyncio.sleep(2)  # everything is back, and something is published then
    finally:
        torture.is_over = True
        await asyncio.gather(*publishers)
        await asyncio.to_thread(thread.join)
    wanted = {publisher: max(numbers) for publisher, numbers in torture.acknowledged.items()}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while not all(client.knows(wanted) for client in torture.clients):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    faults = [fault for client in torture.clients for fault in client.faults] + await torture.faults_of_history()
    print(torture.report(faults))
    assert faults == []
    assert torture.places.disordered(torture.acknowledged) == []
    assert [client.known for client in torture.clients if not client.knows(wanted)] == []
    assert torture.lost() == []
    assert sum(client.resumed for client in torture.clients) > 0
    if torture.alias != DEFAULT_DB_ALIAS:
        assert not torture.refused
        assert len({client.position.epoch for client in torture.clients if client.position}) == 1
        assert [client.states for client in torture.clients] == [1] * CLIENTS
        assert [passed for client in torture.clients for passed in client.passed_over] == []
