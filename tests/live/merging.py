"""Members of a room with history in virtual time, the layer behind it, and what each member must have been told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from django_fastws import History, Position
from django_fastws._core.envelope import Envelope
from django_fastws._core.groups import group_name
from django_fastws._core.history_page import PageQuery
from django_fastws._core.messages import Payload
from django_fastws.live.live_route import live_routes
from tests.support.scripted_broker import ScriptedBroker
from tests.support.virtual_loop import VirtualLoop

__all__ = ["HISTORY", "Client", "Connection", "World"]

HISTORY = History(messages=8)


class World:
    """The event loop, the broker, the room, and what was published.

    Attributes:
        count: of events, each of which has its number from 0 on.
        places: their numbers by position.
        excluded: client ids by number.
        faults: broken promises.
    """

    def __init__(self, room: str) -> None:
        self.loop = VirtualLoop()
        self.broker = ScriptedBroker(lambda: 1e9 + self.loop.time())
        self.room, self.group = room, group_name(room)
        self.count = 0
        self.places: dict[Position, int] = {}
        self.excluded: dict[int, str] = {}
        self.faults: list[str] = []

    def publish(self, exclude: str | None = None) -> None:
        number, self.count = self.count, self.count + 1
        payload = Payload(json.dumps({"number": number, "text": "x" * 40}))
        envelope = Envelope.broadcast(self.group, payload, exclude, is_json=True, event="said", history=HISTORY)
        self.places[self.broker.publish_elsewhere(envelope)] = number
        if exclude is not None:
            self.excluded[number] = exclude

    def top(self) -> Position:
        page = self.broker.histories.read(self.group, HISTORY, PageQuery(limit=0))
        return Position(page.epoch, page.top)

    def up_to(self, position: Position) -> set[int]:
        """The events of a history up to a position."""
        return {
            number
            for at, number in self.places.items()
            if at.epoch == position.epoch and at.offset <= position.offset
        }

    async def state(self) -> dict[str, int]:
        """The state of the room: how many events there are, as the application knows them."""
        found: dict[str, int] = await self.broker.wait_for("state", lambda: {"count": self.count}, needs_layer=False)
        return found


class Client:
    """A client, which survives its connections.

    Attributes:
        position: up to which it has everything; None before its first join.
        known: numbers of events that it has, or that a state has that it has.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.position: Position | None = None
        self.known: set[int] = set()
        self.connection: Connection | None = None

    def connect(self) -> None:
        self.connection = Connection(self)

    def cut(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.cut()

    def was_elsewhere(self) -> None:
        """It was connected to another process, which has told it everything."""
        self.position = self.world.top()
        self.known = set(range(self.world.count))

    @property
    def is_joined(self) -> bool:
        return self.connection is not None and self.connection.is_joined and not self.connection.joins


class Connection:
    """One connection of a client: what it says, and what it must be told.

    Attributes:
        joins: those that are not answered, by id, with their ``since``.
    """

    def __init__(self, client: Client) -> None:
        self.client, self.world = client, client.world
        self.is_joined = self.is_over = False
        self.joins: dict[int, str | None] = {}
        self._leaves: set[int] = set()
        self._number = 0
        self._seen: set[Position] = set()
        self._inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._reads = asyncio.Event()
        self._reads.set()
        self._inbox.put_nowait({"type": "websocket.connect"})
        (route,) = live_routes()
        scope = {
            "type": "websocket",
            "path": "/ws/live",
            "query_string": b"",
            "headers": [],
            "subprotocols": ["fastws.v1.json"],
            "client": ("127.0.0.1", 1),
        }
        self.task = self.world.loop.create_task(route.application(scope, self._inbox.get, self._send))
        self.task.add_done_callback(lambda _: self._closed())  # where servers close a connection
        self._say(hello={"client": client.name})

    def _say(self, **frame: Any) -> int:
        self._number += 1
        text = json.dumps({**frame, "id": self._number})
        self._inbox.put_nowait({"type": "websocket.receive", "text": text})
        return self._number

    # What it does

    def join(self, since: Position | None) -> None:
        said = None if since is None else str(since)
        frame = {"join": self.world.room} | ({} if said is None else {"since": said})
        self.joins[self._say(**frame)] = said

    def leave(self) -> None:
        self._leaves.add(self._say(leave=self.world.room))

    def stop_reading(self) -> None:
        self._reads.clear()

    def read(self) -> None:
        self._reads.set()

    def cut(self) -> None:
        self.is_over, self.is_joined = True, False
        self.joins.clear()
        self._reads.set()
        self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1006})

    # What it is told

    async def _send(self, event: dict[str, Any]) -> None:
        await self._reads.wait()
        if self.is_over:
            raise OSError("the connection is closed")
        if event["type"] == "websocket.send":
            self._take(json.loads(event["text"]))
        elif event["type"] == "websocket.close":
            if event.get("code") != 1011:
                self._wrong(f"closed with {event}")
            self._closed()
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": 1011})

    def _closed(self) -> None:
        self.is_over, self.is_joined = True, False
        self.joins.clear()
        if self.client.connection is self:
            self.client.connection = None

    def _wrong(self, what: str) -> None:
        self.world.faults.append(f"{self.client.name}: {what}")

    def _take(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        if number in self._leaves:
            self.is_joined = False
            self._seen.clear()
        elif number in self.joins:
            self._take_answer(self.joins.pop(number), frame)
        elif number is not None or "ping" in frame:
            pass  # of the hello
        elif "state" in frame:
            if not self.is_joined:
                self._wrong(f"{frame} without a join")
            self._take_state(frame)
        elif "at" in frame:
            self._take_event(frame)
        else:
            self._wrong(f"it was told {frame}")

    def _take_answer(self, since: str | None, frame: dict[str, Any]) -> None:
        if "error" in frame:
            if frame["error"]["code"] != "unavailable":
                self._wrong(f"a join was answered with {frame}")
            self.is_joined = False
            self._seen.clear()
            return
        joined, was_joined, self.is_joined = frame["ok"], self.is_joined, True
        if not joined["recovered"]:
            self._take_state(joined)
            return
        if since is None or joined["at"] != since:
            self._wrong(f"recovered from {joined['at']}, and has asked from {since}")
        if not was_joined:
            self.client.position = Position.parse(joined["at"])

    def _take_state(self, frame: dict[str, Any]) -> None:
        position = Position.parse(frame["at"])
        assert position is not None
        known = set(range(frame["state"]["count"]))
        if missing := self.world.up_to(position) - known:
            self._wrong(f"the state at {position} is older than that: {missing} are missing in it")
        self.client.position = position
        self.client.known |= known

    def _take_event(self, frame: dict[str, Any]) -> None:
        client, position = self.client, Position.parse(frame["at"])
        assert position is not None
        if not self.is_joined:
            self._wrong(f"{position} came before an answer")
        last = client.position
        if last is None or position != Position(last.epoch, last.offset + 1):
            self._wrong(f"{position} came behind {last}")
        if position in self._seen:
            self._wrong(f"{position} came twice over one connection")
        self._seen.add(position)
        number = self.world.places.get(position)
        if number is None:
            self._wrong(f"{position} is of nothing that was published")
            return
        is_excluded = self.world.excluded.get(number) == client.name
        if is_excluded is ("data" in frame) or (not is_excluded and frame["data"]["number"] != number):
            self._wrong(f"{position} is event {number}, and it was told {frame}")
        client.known.add(number)
        client.position = position
        if missing := self.world.up_to(position) - client.known:
            self._wrong(f"it is at {position} without {missing}")
