"""Presence in the Redis of a layer: the steps of its calls, sent by event loops and by threads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ..._core.presence_reports import PresenceBeat, PresenceDiff, PresenceReport, PresenceSnapshot, Reported
from ..presence_store import PresenceStore
from .presence_commands import PresenceCommands, Step, Steps

__all__ = ["RedisPresence"]

T = TypeVar("T")


class RedisPresence(PresenceStore):
    """Who is present, in the Redis of a layer.

    Args:
        commands: of the layer.
        asend: sends the commands of a step in the running loop: their replies, or errors instead of them.
        send: the same, from a thread without one.
        aready: finds out what the commands depend on, in the running loop.
        ready: the same, from a thread without one.
    """

    def __init__(
        self,
        commands: PresenceCommands,
        asend: Callable[[Step], Coroutine[Any, Any, list[Any]]],
        send: Callable[[Step], list[Any]],
        aready: Callable[[], Coroutine[Any, Any, None]],
        ready: Callable[[], None],
    ) -> None:
        self._commands, self._asend, self._send = commands, asend, send
        self._aready, self._ready = aready, ready

    async def _arun(self, steps: Steps[T]) -> T:
        await self._aready()
        try:
            step = next(steps)
            while True:
                if step:
                    step = steps.send(await self._asend(step))
                else:
                    await asyncio.sleep(0)
                    step = steps.send([])
        except StopIteration as end:
            found: T = end.value
            return found

    def _run(self, steps: Steps[T]) -> T:
        self._ready()
        try:
            step = next(steps)
            while True:
                step = steps.send(self._send(step) if step else [])
        except StopIteration as end:
            found: T = end.value
            return found

    async def areport(self, room: str, process: str, reports: Sequence[PresenceReport]) -> Reported:
        return await self._arun(self._commands.report(room, process, reports))

    async def aread(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        return await self._arun(self._commands.read(room, counts_only=counts_only, without=without))

    def read(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        return self._run(self._commands.read(room, counts_only=counts_only, without=without))

    async def abeat(self, process: str, seconds: float) -> PresenceBeat:
        return await self._arun(self._commands.beat(process, seconds))

    async def arest(self, process: str, seconds: float) -> None:
        await self._arun(self._commands.rest(process, seconds))

    async def abury(self, process: str) -> AsyncIterator[tuple[str, PresenceDiff]]:
        commands = self._commands
        renewed = await self._arun(commands.begin_burial(process))
        while renewed is not None:
            found = await self._arun(commands.find_reported(process, renewed))
            if found is None:
                return
            for room, members in found:
                diff = await self._arun(commands.take_back(room, process, members))
                if diff.changes:
                    yield room, diff

    def bury(self, process: str) -> Iterator[tuple[str, PresenceDiff]]:
        commands = self._commands
        renewed = self._run(commands.begin_burial(process))
        while renewed is not None:
            found = self._run(commands.find_reported(process, renewed))
            if found is None:
                return
            for room, members in found:
                diff = self._run(commands.take_back(room, process, members))
                if diff.changes:
                    yield room, diff

    async def aforget(self, room: str, process: str) -> None:
        await self._arun(self._commands.forget(room, process))

    async def areport_users(self, process: str, users: Mapping[str, float | None]) -> None:
        await self._arun(self._commands.report_users(process, users))

    async def aonline(self, users: Sequence[str]) -> set[str]:
        return await self._arun(self._commands.online(users))

    def online(self, users: Sequence[str]) -> set[str]:
        return self._run(self._commands.online(users))

    async def alast_seen(self, user: str) -> float | None:
        return await self._arun(self._commands.last_seen(user))

    def last_seen(self, user: str) -> float | None:
        return self._run(self._commands.last_seen(user))
