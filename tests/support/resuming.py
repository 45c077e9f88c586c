"""Client of a live room that resumes, as the browser client does, and records what it was told; and its checker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

import websockets

from django_fastws import Position
from tests.support.processes import HOST

__all__ = ["Event", "ResumingClient"]

Event = tuple[str, int]
"""A publisher, and the number of its record."""


class ResumingClient:
    """Client of one room, which connects again whenever it is cut off, to one of several servers.

    It knows what the last state had, and what came since. What it must never be told, it keeps as a fault.

    Args:
        room: its name.
        ports: of the servers, or of what stands before them; asked at each attempt.

    Attributes:
        known: the number of the newest record that it knows of each publisher.
        position: as a client holds it.
        events, joins, resumed, states, cuts: how often these came.
        faults: what broke a promise, in words.
        passed_over: publishers, each with the first and the end of the numbers that did not come before a later one.
    """

    def __init__(self, room: str, ports: Callable[[], list[int]]) -> None:
        self.room = room
        self._ports = ports
        self.known: dict[str, int] = {}
        self.position: Position | None = None
        self.events = self.joins = self.resumed = self.states = self.cuts = self.gaps = 0
        self.faults: list[str] = []
        self.passed_over: list[tuple[str, int, int]] = []
        #: Positions by record, in the present epoch.
        self._positions: dict[Event, Position] = {}
        self._ws: Any = None
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.faults.append(f"{type(error).__name__}: {error}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def cut(self) -> None:
        """Lose the connection, at this moment."""
        if self._ws is not None:
            self.cuts += 1
            self._ws.transport.abort()

    def knows(self, wanted: Mapping[str, int]) -> bool:
        """Whether it knows these records."""
        return all(self.known.get(publisher, 0) >= number for publisher, number in wanted.items())

    def lost(self, acknowledged: Mapping[str, set[int]]) -> list[Event]:
        """Records that it never heard of, though they were acknowledged, and later ones came."""
        return [
            (publisher, number)
            for publisher, first, end in self.passed_over
            for number in range(first, end)
            if number in acknowledged[publisher]
        ]

    async def _run(self) -> None:
        while True:
            port = random.choice(self._ports())
            with contextlib.suppress(OSError, TimeoutError, websockets.WebSocketException):
                connecting = websockets.connect(
                    f"ws://{HOST}:{port}/ws/live", proxy=None, compression=None, open_timeout=5, max_queue=None
                )
                async with connecting as self._ws:
                    await self._serve()
            self._ws = None
            await asyncio.sleep(random.uniform(0.02, 0.2))

    async def _serve(self) -> None:
        await self._join(self.position)
        async for text in self._ws:
            await self._take(json.loads(text))

    async def _join(self, since: Position | None) -> None:
        self._number += 1
        frame: dict[str, Any] = {"join": self.room, "id": self._number}
        if since is not None:
            frame["since"] = str(since)
        self._since, self._is_joined = since, False
        await self._ws.send(json.dumps(frame))

    async def _take(self, frame: dict[str, Any]) -> None:
        if frame.get("id") == self._number:
            await self._take_answer(frame)
        elif frame.get("room") != self.room:
            return
        elif "state" in frame:
            self._take_state(frame)
        elif "at" in frame:
            await self._take_event(frame)

    async def _take_answer(self, frame: dict[str, Any]) -> None:
        if "error" in frame:  # such as unavailable, while Redis is away
            await asyncio.sleep(random.uniform(0.05, 0.3))
            await self._join(self.position)
            return
        self.joins += 1
        self._is_joined = True
        joined = frame["ok"]
        if not joined["recovered"]:
            self._take_state(joined)
            return
        self.resumed += 1
        if joined["at"] != str(self._since):
            self.faults.append(f"recovered from {joined['at']}, and had asked from {self._since}")

    def _take_state(self, frame: dict[str, Any]) -> None:
        self.states += 1
        position = Position.parse(frame["at"])
        assert position is not None
        if self.position is None or position.epoch != self.position.epoch:
            self._positions = {}
        self.position = position
        for publisher, number in frame["state"].items():
            if self.known.get(publisher, 0) > number:
                self.faults.append(f"the state at {position} has {number} of {publisher}, after {self.known}")
            self.known[publisher] = max(number, self.known.get(publisher, 0))

    async def _take_event(self, frame: dict[str, Any]) -> None:
        if not self._is_joined:
            self.faults.append(f"{frame['at']} came before the answer")
            return
        position, last = Position.parse(frame["at"]), self.position
        assert position is not None
        assert last is not None
        if position.epoch != last.epoch or position.offset > last.offset + 1:
            self.gaps += 1  # which a client takes as lost
            await self._join(None)
            return
        if position.offset <= last.offset:
            self.faults.append(f"{position} came again, after {last}")
            return
        self.position = position
        self.events += 1
        publisher, number = event = tuple(frame["data"])
        former = self._positions.setdefault(event, position)
        if former != position:
            self.faults.append(f"{event} is stored twice, as {former} and {position}")
        known = self.known.get(publisher, 0)
        if number > known + 1:
            self.passed_over.append((publisher, known + 1, number))
        self.known[publisher] = max(known, number)
