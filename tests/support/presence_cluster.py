"""A cluster in one thread and in virtual time: processes that are event loops, and a layer that can be cut off.

Each process serves live rooms as a server does, from the ASGI application down to the presence store, which is that
of the memory, behind a way that takes time. Nothing waits for a clock.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer
from django.contrib.auth.models import AnonymousUser

from django_fastws import WebSocketConnectionError
from django_fastws._core.envelope import CONTROL, Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.presence_reports import PresenceDiff, PresenceSnapshot
from django_fastws.layer import default
from django_fastws.layer.broker import Broker, BrokerClient
from django_fastws.layer.memory_presence import MemoryPresence
from django_fastws.layer.outages import LayerStatus
from django_fastws.layer.presence_store import PresenceStore
from django_fastws.rooms.presence_reporter import current_presence
from django_fastws.testing.client_handshake import make_scope

__all__ = ["Cluster", "Connection", "Process", "User"]

_BEGAN = 1_800_000_000.0
_MOST_TURNS = 20_000


class User:
    """Somebody who is logged in."""

    is_authenticated = True

    def __init__(self, pk: str) -> None:
        self.pk = pk


class _Loop(asyncio.SelectorEventLoop):
    """Event loop that goes by the clock of the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self._clock_resolution = 1e-6  # which makes a difference to a number of this size

    def time(self) -> float:
        return self._cluster.now

    @property
    def due(self) -> float:
        """When it has something to do; infinite without anything."""
        if self._ready:  # type: ignore[attr-defined]
            return 0.0
        return self._scheduled[0].when() if self._scheduled else float("inf")  # type: ignore[attr-defined]

    def turn(self) -> None:
        self.call_soon(self.stop)
        self.run_forever()


class Process:
    """One process of the cluster.

    Attributes:
        is_alive: it has not been killed, and has not ended.
        is_linked: it reaches the layer.
        under_way: the rooms and keys of the changes that it has asked the layer for; None for any.
    """

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster = cluster
        self.number = number
        self.loop = _Loop(cluster)
        self.is_alive = self.is_linked = True
        self.under_way: list[tuple[str, str] | None] = []
        self.clients: list[_Client] = []

    def run(self, work: Any) -> Any:
        """Run a coroutine in it, and let as much time pass as that takes."""
        task = self.loop.create_task(work)
        for _ in range(1000):
            self.cluster.settle()
            if task.done():
                return task.result()
            self.cluster.advance_to_next()
        raise AssertionError(f"{work} does not end")

    def close(self) -> None:
        """End all that goes on in it, at the end of the test."""
        self.is_linked = False
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        for _ in range(100):
            if all(task.done() for task in tasks):
                break
            self.loop.turn()
        for client in self.clients:
            client.groups.clear()
        self.loop.close()

    def __repr__(self) -> str:
        return f"<process {self.number}>"


class Connection:
    """A socket of a client, as its server sees it: an ASGI connection.

    Args:
        take: called with every frame that is sent, decoded; and with None when the server has closed it.
    """

    def __init__(self, process: Process, application: Any, scope: Any, take: Callable[[Any], None]) -> None:
        self.process = process
        self._incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._take = take
        self.is_open = True
        made = {**make_scope("/ws/live", (), None, None, ()), "url_route": {"kwargs": {}}, "user": AnonymousUser()}
        made |= scope
        self._put({"type": "websocket.connect"})
        process.loop.create_task(application(made, self._incoming.get, self._send))

    def say(self, **frame: Any) -> None:
        self._put({"type": "websocket.receive", "text": json.dumps(frame)})

    def end(self, code: int = 1001) -> None:
        """The server learns that the client has gone."""
        if self.is_open:
            self.is_open = False
            self._put({"type": "websocket.disconnect", "code": code})

    def _put(self, message: dict[str, Any]) -> None:
        self._incoming.put_nowait(message)

    async def _send(self, message: Any) -> None:
        if message["type"] == "websocket.send":
            self._take(json.loads(message.get("text") or message["bytes"]))
        elif message["type"] == "websocket.close":
            self.is_open = False
            self._take(None)
        else:
            assert message["type"] == "websocket.accept", message


class _Store(PresenceStore):
    """The presence store as one process after the other uses it; the running loop says which."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._memory = cluster.memory

    async def _ask(self, do: Callable[[], Any], *changes: tuple[str, str] | None) -> Any:
        process = self._cluster.here()
        process.under_way += changes
        try:
            await self._cluster.travel(process)
            answer = do()
            try:
                await self._cluster.travel(process)
            except WebSocketConnectionError:
                self._cluster.doubt(changes)  # nobody learns what was done
                raise
        finally:
            for change in changes:
                process.under_way.remove(change)
        return answer

    async def areport(self, room: str, process: str, reports: Any) -> Any:
        changes = [(room, report.key) for report in reports]
        return await self._ask(lambda: _now(self._memory.areport(room, process, reports)), *changes)

    async def aread(self, room: str, **options: Any) -> PresenceSnapshot:
        found: PresenceSnapshot = await self._ask(lambda: self._memory.read(room, **options))
        return found

    def read(self, room: str, **options: Any) -> PresenceSnapshot:
        return self._memory.read(room, **options)

    async def abeat(self, process: str, seconds: float) -> Any:
        return await self._ask(lambda: _now(self._memory.abeat(process, seconds)))

    async def arest(self, process: str, seconds: float) -> None:
        await self._ask(lambda: _now(self._memory.arest(process, seconds)))

    async def abury(self, process: str) -> Any:
        burial = self._memory.bury(process)
        while (one := await self._ask(lambda: next(burial, None), None)) is not None:
            yield one

    def bury(self, process: str) -> Any:
        return self._memory.bury(process)

    async def areport_users(self, process: str, users: Any) -> None:
        await self._ask(lambda: _now(self._memory.areport_users(process, users)))

    async def aonline(self, users: Any) -> set[str]:
        found: set[str] = await self._ask(lambda: self._memory.online(users))
        return found

    def online(self, users: Any) -> set[str]:
        return self._memory.online(users)

    async def alast_seen(self, user: str) -> float | None:
        found: float | None = await self._ask(lambda: self._memory.last_seen(user))
        return found

    def last_seen(self, user: str) -> float | None:
        return self._memory.last_seen(user)


def _now(work: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as over:
        return over.value
    raise AssertionError(f"{work} waits")


class _Client(BrokerClient):
    def __init__(self, deliver: Any, cluster: Cluster) -> None:
        super().__init__(deliver)
        self._cluster = cluster
        self.process = cluster.here()
        self.process.clients.append(self)
        self.groups: set[str] = set()

    async def subscribe(self, group: str) -> None:
        await self._cluster.travel(self.process)
        self.groups.add(group)
        await self._cluster.travel(self.process)

    async def unsubscribe(self, group: str) -> None:
        self.groups.discard(group)

    def is_subscribed(self, group: str) -> bool:
        return self.process.is_linked and group in self.groups

    async def resubscribed(self, group: str) -> None:
        await self._cluster.travel(self.process)

    def take(self, envelope: Envelope) -> None:
        if envelope.room in self.groups:
            self.deliver(envelope)


class _Broker(Broker):
    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._presence = _Store(cluster)

    async def apublish(self, envelope: Envelope) -> None:
        await self._cluster.travel(self._cluster.here())
        self._cluster.deliver(envelope)

    def publish(self, envelope: Envelope) -> None:
        self._cluster.deliver(envelope)

    @property
    def presence(self) -> PresenceStore:
        return self._presence

    async def check(self, seconds: float = 2.0) -> None:
        pass

    @property
    def status(self) -> LayerStatus:
        return LayerStatus(is_reachable=True)

    def client(self, deliver: Any) -> BrokerClient:
        return _Client(deliver, self._cluster)


class Cluster:
    """All processes, the layer between them, and the time. While it is open, the layer of the settings is this one.

    Args:
        delay: seconds for each way between a process and the layer.

    Attributes:
        now: seconds since the epoch.
        changed_at: when the layer has published a change, or a process was linked again, last.
        doubts: changes of which it is not known whether a signal was sent; None for any.
    """

    def __init__(self, delay: float) -> None:
        self.now = _BEGAN
        self.delay = delay
        self.changed_at = _BEGAN
        self.doubts: set[tuple[str, str] | None] = set()
        self.memory = MemoryPresence(self._publish, lambda: self.now)
        self.processes: list[Process] = []
        default._current = get_channel_layer(), _Broker(self)
        self.shell = self.start()

    def start(self) -> Process:
        process = Process(self, len(self.processes))
        self.processes.append(process)
        return process

    def here(self) -> Process:
        """The process that runs now."""
        loop = asyncio.get_running_loop()
        return next(process for process in self.processes if process.loop is loop)

    def kill(self, process: Process) -> None:
        """It runs no further."""
        process.is_alive = False
        self.doubt(process.under_way)

    def doubt(self, changes: Any) -> None:
        self.doubts.update(changes)

    def cut(self, process: Process) -> None:
        """It does not reach the layer any more."""
        process.is_linked = False

    def restore(self, process: Process) -> None:
        if not process.is_linked:
            process.is_linked = True
            self.changed_at = self.now
            for client in process.clients:
                if client.groups:
                    process.loop.call_soon(client.restored)

    def close(self) -> None:
        default._current = None
        for process in self.processes:
            process.close()

    # The layer

    async def travel(self, process: Process) -> None:
        """The way to the layer, or back."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if not process.is_linked:
            raise WebSocketConnectionError("the layer is away")

    def _publish(self, room: str, diff: PresenceDiff) -> None:
        self.deliver(Envelope(CONTROL, group_name(room), presence=diff))

    def deliver(self, envelope: Envelope) -> None:
        self.changed_at = self.now
        for process in self.processes:
            if process.is_alive and process.is_linked:
                for client in process.clients:
                    process.loop.call_later(self.delay, client.take, envelope)

    # Time

    def settle(self) -> None:
        """Let happen what is due now."""
        for _ in range(_MOST_TURNS):
            busy = [one for one in self.processes if one.is_alive and one.loop.due <= self.now]
            if not busy:
                return
            for process in busy:
                process.loop.turn()
        raise AssertionError("it does not come to rest")

    def advance_to_next(self) -> None:
        """Let time pass until there is something to do."""
        self.now = max(self.now, min(one.loop.due for one in self.processes if one.is_alive))
        self.settle()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, with all that is due meanwhile."""
        end = self.now + seconds
        self.settle()
        while min(one.loop.due for one in self.processes if one.is_alive) <= end:
            self.advance_to_next()
        self.now = end
        self.settle()

    # What there is

    def snapshot(self, room: str) -> dict[str, tuple[Any, int]]:
        """Card and number of connections of each key, as the layer has them."""
        found = self.memory.read(room)
        return {key: (json.loads(one.meta), one.connections) for key, one in found.keys.items()}

    def leftovers(self) -> list[str]:
        """What is still kept of who is present, anywhere."""
        memory, found = self.memory, []
        if memory._rooms or any(roll.total for roll, _ in memory._rolls.values()):
            found.append(f"the layer has {memory._rooms}")
        for process in self.processes:
            if process.is_alive:
                reporter = process.run(_reporter())
                if len(reporter._attendances) or reporter._rooms or reporter._users or reporter._attendances._users:
                    found.append(f"{process} has {list(reporter._attendances)} {reporter._rooms} {reporter._users}")
        return found


async def _reporter() -> Any:
    return current_presence()
