"""Client of a live room that resumes, as the browser client does, and records what it was told; and its checker."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import websockets

from django_fastws import Position
from tests.support.processes import HOST

__all__ = ["Event", "Fault", "Places", "ResumingClient"]

Event = tuple[str, int]
"""A publisher, and the number of its record."""


class Fault(NamedTuple):
    """A promise that was broken: "doubled", "out of order" or "wrong", and how."""

    kind: str
    text: str


class Places:
    """Where each event is in the history, as clients were told: all who share one must be told the same."""

    def __init__(self) -> None:
        self.events: dict[Position, Event] = {}
        self.positions: dict[tuple[str, Event], Position] = {}

    def note(self, position: Position, event: Event) -> list[Fault]:
        """Note what somebody was told; what is wrong with that."""
        found = []
        if (former := self.events.setdefault(position, event)) != event:
            found.append(Fault("wrong", f"{position} is {former}, and {event}"))
        if (other := self.positions.setdefault((position.epoch, event), position)) != position:
            found.append(Fault("doubled", f"{event} is stored twice, as {other} and {position}"))
        return found

    def disordered(self, acknowledged: Mapping[str, set[int]]) -> list[tuple[Position, Event, Event]]:
        """Records that are behind a later one of their publisher, with that one, where both were acknowledged."""
        last: dict[tuple[str, str], int] = {}
        found = []
        for position, (publisher, number) in sorted(self.events.items()):
            if number in acknowledged[publisher]:
                before = last.setdefault((position.epoch, publisher), 0)
                if number < before:
                    found.append((position, (publisher, before), (publisher, number)))
                last[position.epoch, publisher] = max(before, number)
        return found


class ResumingClient:
    """Client of one room, which connects again whenever it is cut off, to one of several servers.

    It knows what the last state had, and what came since. What it must never be told, it keeps as a fault.

    Args:
        room: its name.
        ports: of the servers, or of what stands before them; asked at each attempt.
        places: of all clients together; None for its own.

    Attributes:
        known: the number of the newest record that it knows of each publisher.
        position: as a client holds it.
        events, joins, resumed, states, cuts: how often these came.
        faults: what broke a promise.
        passed_over: publishers, each with the first and the end of the numbers that did not come before a later one.
    """

    def __init__(self, room: str, ports: Callable[[], list[int]], places: Places | None = None) -> None:
        self.room = room
        self._ports = ports
        self.known: dict[str, int] = {}
        self.position: Position | None = None
        self.events = self.joins = self.resumed = self.states = self.cuts = self.gaps = 0
        self.faults: list[Fault] = []
        self.passed_over: list[tuple[str, int, int]] = []
        self._places = places or Places()
        self._ws: Any = None
        self._number = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._wrong(f"{type(error).__name__}: {error}")

    def _wrong(self, text: str, kind: str = "wrong") -> None:
        self.faults.append(Fault(kind, text))

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
            self._wrong(f"recovered from {joined['at']}, and had asked from {self._since}")

    def _take_state(self, frame: dict[str, Any]) -> None:
        self.states += 1
        position = Position.parse(frame["at"])
        assert position is not None
        self.position = position
        for publisher, number in frame["state"].items():
            if self.known.get(publisher, 0) > number:
                self._wrong(f"the state at {position} has {number} of {publisher}, after {self.known}")
            self.known[publisher] = max(number, self.known.get(publisher, 0))

    async def _take_event(self, frame: dict[str, Any]) -> None:
        if not self._is_joined:
            self._wrong(f"{frame['at']} came before the answer")
            return
        position, last = Position.parse(frame["at"]), self.position
        assert position is not None
        assert last is not None
        if position.epoch != last.epoch or position.offset > last.offset + 1:
            self.gaps += 1  # which a client takes as lost
            await self._join(None)
            return
        if position.offset <= last.offset:
            self._wrong(f"{position} came again, after {last}", "doubled")
            return
        self.position = position
        self.events += 1
        publisher, number = frame["data"]
        self.faults += self._places.note(position, (publisher, number))
        known = self.known.get(publisher, 0)
        if number > known + 1:
            self.passed_over.append((publisher, known + 1, number))
        self.known[publisher] = max(known, number)
