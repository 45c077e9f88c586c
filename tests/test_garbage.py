"""What is in use is frozen in a process that serves, and no garbage is kept for it; told by counting objects."""

from __future__ import annotations

import asyncio
import gc
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from django_fastws import garbage
from django_fastws.garbage import Collector
from django_fastws.testing import connect as connect_here
from tests.site.client import connect, until
from tests.support.processes import ASGIServer

SOCKETS = 30
APP = "tests.site.garbage:application"


async def told(server: ASGIServer, query: str = "") -> dict[str, int]:
    async with connect(server, f"/garbage?{query}") as ws:
        found: dict[str, int] = await ws.recv_json()
        await ws.wait_closed()
        return found


async def come_and_go(server: ASGIServer, path: str = "/ws/echo", *, looks: Any = None) -> Any:
    """Sockets are open at once, looked at, and gone when this returns."""
    async with AsyncExitStack() as stack:
        for _ in range(SOCKETS):
            ws = await stack.enter_async_context(connect(server, path))
            await ws.ask({"text": "hello"})
        return await looks() if looks else None


# On real servers


@pytest.mark.server
@pytest.mark.parametrize(("kind", "each"), [("runws_server", 0), ("daphne", 0), ("uvicorn", 30)])
async def test_connections_leave_no_cycles(serve, kind, each):
    """But for uvicorn's parser of HTTP, which is young garbage."""
    server = serve(kind, app=APP, settings={"FASTWS_GC_FREEZE_OBJECTS": None})
    await come_and_go(server)
    await asyncio.sleep(1.2)  # daphne looks each second for what is over
    await told(server, "collect")
    await come_and_go(server)
    await asyncio.sleep(1.2)
    found = (await told(server, "collect"))["found"]
    assert found < (each + 4) * SOCKETS, found


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_what_is_frozen_is_freed_with_its_connections_and_cycles_of_theirs_by_a_thaw(serve, kind):
    """A soak in miniature: after each round there is as much as after the one before."""
    settings = {"FASTWS_GC_FREEZE_OBJECTS": 500, "FASTWS_GC_THAW_OBJECTS": 2000}
    server = serve(kind, app=APP, settings=settings)
    await come_and_go(server)

    async def frozen() -> int:
        return (await told(server, "collect"))["frozen"]

    assert await frozen() > 10_000  # with what the program has begun with
    objects = []
    for _ in range(3):
        during = await come_and_go(server, "/ws/echo?leak", looks=frozen)
        await until(partial(_is_free, server, during), "the garbage to be found", limit=60)
        objects.append(sum((await told(server)).values()))
    assert objects[-1] < objects[0] + 190 * SOCKETS  # two rounds more, whose cycles were 200 for each


async def _is_free(server: ASGIServer, during: int) -> bool:
    """Whether more has gone than the cycles alone."""
    return (await told(server, "collect"))["frozen"] < during - 230 * SOCKETS


# In this process


@pytest.fixture
def collector(settings):
    settings.FASTWS_GC_FREEZE_OBJECTS = 1_000
    settings.FASTWS_GC_THAW_OBJECTS = 2_000
    before = gc.get_freeze_count()
    made = Collector()
    yield made
    made.stop()
    gc.unfreeze()
    gc.collect()
    gc.freeze()  # as the tests begin
    assert before


async def test_it_begins_once_and_ends(collector):
    collector.start()
    collector.start()
    assert gc.callbacks.count(collector._collected) == 1
    collector.stop()
    assert collector._collected not in gc.callbacks
    assert gc.get_freeze_count() == 0


async def test_the_setting_leaves_pythons_collector_alone(collector, settings):
    settings.FASTWS_GC_FREEZE_OBJECTS = None
    collector.start(collects=True)
    assert collector._collected not in gc.callbacks


async def test_only_much_is_frozen_and_only_what_a_full_collection_has_left(collector, settings):
    collector.start()
    few, before = [[] for _ in range(500)], gc.get_freeze_count()
    gc.collect()
    assert gc.get_freeze_count() <= before
    many = [[] for _ in range(2_000)]
    many[0].append(many[0])
    garbage_of_ours = [many]
    garbage_of_ours.append(garbage_of_ours)
    gc.collect(1)
    assert gc.get_freeze_count() <= before
    gc.collect()
    assert gc.get_freeze_count() > before + 2_000
    assert few


async def test_cycles_among_what_is_frozen_are_found_while_nobody_connects(collector, settings, caplog):
    settings.FASTWS_GC_FREEZE_OBJECTS = settings.FASTWS_GC_THAW_OBJECTS = 500
    caplog.set_level("INFO", "django_fastws.loop")
    collector.start()
    stamp = collector.opened()
    gc.collect()
    gc.freeze()
    held: list[Any] = [[] for _ in range(900)]
    held.append(held)
    gc.collect()
    frozen = gc.get_freeze_count()
    collector._look()
    assert frozen - gc.get_freeze_count() < 100  # in use, as far as is known; a thread may have freed a few
    assert not caplog.records
    del held
    collector.closed(stamp)
    collector.opened()
    collector._look()
    assert gc.get_freeze_count() >= frozen - 500  # somebody connects
    collector._look()
    assert gc.get_freeze_count() < frozen - 800
    (record,) = [record for record in caplog.records if record.name == "django_fastws.loop"]
    assert "has looked at all objects" in record.getMessage()
    collector._look()
    assert len(caplog.records) == 1


async def test_neither_test_clients_nor_commands_begin_it(routes, settings):
    settings.FASTWS_GC_FREEZE_OBJECTS = 1_000
    from django_fastws import FastWS, WebSocket

    @FastWS().websocket("/here")
    async def here(ws: WebSocket) -> None:
        await ws.accept()

    async with connect_here("/here") as ws:
        await ws.wait_closed()
    assert garbage.collector._collected not in gc.callbacks
