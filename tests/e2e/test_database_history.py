"""Histories in the database, with several processes that publish, some of which are killed as they do."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conftest import layer_config, make_database
from tests.site.client import LIMIT, token
from tests.support.processes import ROOT
from tests.support.resuming import ResumingClient
from tests.support.scripts import SETUP, environment

pytestmark = [pytest.mark.redis, pytest.mark.server]

BEGIN = (
    SETUP
    + """
import os, random, signal, sys
from django.db import transaction
from django_fastws.layer import get_broker
from django_fastws import FastWS, History
room, name = Room(sys.argv[1]), sys.argv[2]
"""
)
#: Dies when the transaction is committed, and before anything is published.
DYING = BEGIN + (
    """
type(get_broker()).publish = lambda self, envelope: os.kill(os.getpid(), signal.SIGKILL)
with transaction.atomic():
    print(room.broadcast([name, 1], "told"), flush=True)
"""
)
#: Tells of what is committed, in transactions of one to three events, some of which are rolled back.
BUSY = BEGIN + (
    """
number = 0
for _ in range(int(sys.argv[3])):
    said = number
    try:
        with transaction.atomic():
            for _ in range(random.randrange(1, 4)):
                said += 1
                at = room.broadcast([name, said], "told")
            if random.random() < 0.2:
                raise ZeroDivisionError
    except ZeroDivisionError:
        continue
    number = said
    print(number, at.offset, flush=True)
"""
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def variables(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The environment of processes that share a database."""
    if request.param == "sqlite":
        return make_database(tmp_path_factory).environment
    server = request.getfixturevalue("postgres_server")
    request.getfixturevalue("postgres_session_key")
    return {"TEST_DATABASE_OPTIONS": json.dumps(server.settings)}


async def script(code: str, layer: Any, variables: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *arguments,
        cwd=ROOT,
        env={**environment(layer), **variables},
        stdout=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize("kind", ["ours", "pubsub"])
async def test_who_dies_between_commit_and_publish_loses_nothing(serve, redis_server, variables, kind, tmp_path):
    name, layer = f"stored/{token()}", layer_config(kind, redis_server, token())
    records = {"TEST_RECORDS": str(tmp_path)}
    (tmp_path / f"records-{name.replace('/', '-')}").mkdir()
    settings = {"FASTWS_HISTORY_CHECK_SECONDS": 0.5}
    server = serve("uvicorn", layer=layer, settings=settings, environment={**variables, **records})
    client = ResumingClient(name, lambda: [server.port])
    client.start()
    try:
        await until(lambda: client.joins)
        dying = await script(DYING, layer, variables, name, "dying")
        out, _ = await dying.communicate()
        assert dying.returncode == -signal.SIGKILL
        await until(lambda: client.knows({"dying": 1}))
        assert (str(client.position), client.events) == (out.decode().strip(), 1)
    finally:
        await client.stop()
    assert client.faults == []


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_processes_in_transactions_of_which_some_are_killed(serve, redis_server, variables, tmp_path):
    name, layer = f"stored/{token()}", layer_config("ours", redis_server, token())
    (tmp_path / f"records-{name.replace('/', '-')}").mkdir()
    settings = {"FASTWS_HISTORY_CHECK_SECONDS": 0.5}
    servers = [
        serve("uvicorn", layer=layer, settings=settings, environment={**variables, "TEST_RECORDS": str(tmp_path)})
        for _ in range(2)
    ]
    clients = [ResumingClient(name, lambda: [server.port for server in servers]) for _ in range(6)]
    for client in clients:
        client.start()
    await until(lambda: all(client.joins for client in clients))
    count = 4 if "TEST_DATABASE_OPTIONS" in variables else 2
    publishers = [await script(BUSY, layer, variables, name, f"p{number}", "60") for number in range(count)]
    acknowledged: dict[str, int] = {}
    offsets: list[int] = []

    async def read(number: int) -> None:
        stdout = publishers[number].stdout
        assert stdout is not None
        while line := await stdout.readline():
            acknowledged[f"p{number}"], offset = map(int, line.split())
            offsets.append(offset)
            if number == 0 and offset > 10 and random.random() < 0.2:
                os.kill(publishers[0].pid, signal.SIGKILL)
            if random.random() < 0.1:
                random.choice(clients).cut()

    try:
        await asyncio.gather(*map(read, range(count)))
        for publisher in publishers:
            await publisher.wait()
        await until(lambda: all(client.knows(acknowledged) for client in clients))
        # The killed one has committed more, perhaps, than it could tell.
        await until(lambda: len({client.position for client in clients}) == 1)
    finally:
        for client in clients:
            await client.stop()
    assert [fault for client in clients for fault in client.faults] == []
    assert [passed for client in clients for passed in client.passed_over] == []
    position = clients[0].position
    assert position is not None
    assert sum(clients[0].known.values()) == position.offset >= max(offsets)
    print({"events": position.offset, "resumed": sum(client.resumed for client in clients)})
