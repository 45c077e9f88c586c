"""A client of live rooms in another program, with nothing but the library ``websockets``."""

import asyncio
import contextlib
import itertools
import json
import random
import re
import time
import uuid

from websockets import Subprotocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, WebSocketException


class LiveError(Exception):
    """What a call was answered with, or with what the server has closed the connection for good."""

    def __init__(self, code, message="", **more):
        super().__init__(f"{code}: {message}")
        self.code, self.fields = code, more.get("fields", {})
        self.retry, self.retry_after = more.get("retry", False), more.get("retry_after")


class LiveClient:
    """One connection, made again whenever it is lost, and the rooms that are joined over it.

    Args:
        heard: a function that gets every event of a room, each state as {"room", "state"}, who is present, whenever
            that changes, as {"room", "people"}, and what a join was refused with as {"room", "error"}.
        make_token: a function that returns a token; None for a client that sends cookies, or is nobody.
    """

    def __init__(self, url, heard, make_token=None):
        self.url, self.heard, self.make_token = url, heard, make_token
        self.client_id = f"c-{uuid.uuid4()}"  # for as long as this program runs
        self.ready = asyncio.Event()  # hello is answered
        self.silence = 35.0  # seconds without a frame after which the connection is dead
        self.rooms, self.joins, self.answers = set(), {}, {}  # by id: names, and futures
        self.positions = {}  # by room, where there is history: of the last event
        self.people, self.numbers = {}, {}  # by room, where there is presence: all by key, and the number of that
        self.ids = itertools.count(1)

    async def run(self):
        """Stay connected until the server says not to come back; raises a LiveError then."""
        attempt, has_new_token = 0, False
        while True:
            began = time.monotonic()
            code, reason = await self._connection()
            if time.monotonic() - began > 5:
                attempt, has_new_token = 0, False
            if code == 4401 and self.make_token is not None and not has_new_token:
                has_new_token = True
                continue
            if code == 1008 or 4400 <= code <= 4499:
                raise LiveError(str(code), reason)
            window = re.fullmatch(r"service restart;(\d{1,6})", reason)
            bound = int(window[1]) / 1000 if window else min(20, 0.5 * 2**attempt)
            attempt += 1
            await asyncio.sleep(random.random() * bound)

    async def join(self, room):
        """Join a room now and after every reconnect, until it is left or refused."""
        self.rooms.add(room)
        if self.ready.is_set():
            await self._join(room)

    async def call(self, room, event, data, seconds=10):
        """Send an event of a room, and return its answer. It is done once, whatever becomes of the connection."""
        frame = {"room": room, "event": event, "data": data, "id": str(uuid.uuid4()), "once": True}
        async with asyncio.timeout(seconds):
            while True:
                await self.ready.wait()
                answer = self.answers[frame["id"]] = asyncio.get_running_loop().create_future()
                await self._send(frame)
                try:
                    return await answer
                except ConnectionError:
                    continue  # nobody knows whether it was done: the same id again
                finally:
                    self.answers.pop(frame["id"], None)

    async def _connection(self):
        """Connect, and read until the end; returns the code and the reason of that."""
        try:
            async with connect(self.url, subprotocols=[Subprotocol("fastws.v1.json")]) as self.socket:
                await self._read()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
        except LiveError as error:  # of hello
            if error.code == "forbidden":
                self.client_id = f"c-{uuid.uuid4()}"  # somebody else has it
            return (4401 if error.code == "unauthenticated" else 1006), str(error)
        except (OSError, WebSocketException):  # refused, or silent for too long
            return 1006, ""

    async def _read(self):
        token = self.make_token() if self.make_token is not None else None
        await self._send({"hello": {"client": self.client_id, "token": token}, "id": "hello"})
        try:
            while True:
                async with asyncio.timeout(self.silence):
                    text = await self.socket.recv()
                await self._take(json.loads(text))
        finally:
            self.ready.clear()
            for answer in self.answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the connection was lost before the answer"))

    async def _take(self, message):
        """Take a frame of the server. What it asks for is done at once: the next one may build on it."""
        id_ = message.get("id")
        if id_ == "hello":
            if "error" in message:
                raise LiveError(**message["error"])
            self.silence = message["ok"]["ping"] + 10
            self.joins.clear()
            for room in list(self.rooms):
                await self._join(room)
            self.ready.set()
        elif id_ in self.joins:
            room = self.joins.pop(id_)
            if "error" in message:
                self._left(room)
                self.heard({"room": room, "error": message["error"]})
                return
            self.positions[room] = message["ok"].get("at")
            if not message["ok"]["recovered"]:
                self.heard({"room": room, "state": message["ok"].get("state")})
            self._take_presence(room, message["ok"])
        elif (answer := self.answers.get(id_)) is not None and not answer.done():
            if "error" in message:
                answer.set_exception(LiveError(**message["error"]))
            elif "ok" in message:
                answer.set_result(message["ok"])
        elif "ask" in message:
            error = {"code": "unknown_event", "message": "this client answers nothing"}
            await self._send({"answer": message["ask"], "error": error})
        elif "left" in message:
            self._left(message["room"])
            self.heard(message)
        elif "room" in message:
            await self._take_of_room(message["room"], message)

    async def _take_of_room(self, room, message):
        at, last = message.get("at"), self.positions.get(room)
        if self._take_presence(room, message):
            return
        if "state" in message or "recovered" in message:  # events were lost: it begins anew
            self.positions[room] = at
            self.heard({"room": room, "state": message.get("state")})
        elif at is None:  # no history, or volatile
            self.heard(message)
        elif last is not None:  # else it waits for a state
            (epoch, offset), (last_epoch, last_offset) = at.split(":"), last.split(":")
            step = int(offset) - int(last_offset)
            if epoch != last_epoch or step > 1:
                self.positions[room] = None
                await self._join(room)
            elif step == 1:
                self.positions[room] = at
                if "event" in message:  # else it is for others
                    self.heard(message)

    def _take_presence(self, room, message):
        """Keep up to date who is present; whether the message tells of that."""
        people, changes = message.get("present"), message.get("presence")
        if "count" in message:
            self.heard({"room": room, "count": message["count"]})
        elif changes is not None and message["v"] > self.numbers.get(room, 0):
            before = self.people.get(room, {})
            people = {key: one for key, one in before.items() if key not in changes["left"]}
            people |= changes["joined"] | changes["changed"]
        if people is not None:
            self.people[room], self.numbers[room] = people, message["v"]
            self.heard({"room": room, "people": people})
        return not {"present", "presence", "count"}.isdisjoint(message)

    def _left(self, room):
        self.rooms.discard(room)
        for kept in (self.positions, self.people, self.numbers):
            kept.pop(room, None)

    async def _join(self, room):
        id_ = next(self.ids)
        self.joins[id_] = room
        await self._send({"join": room, "id": id_, "since": self.positions.get(room), "v": self.numbers.get(room)})

    async def _send(self, frame):
        with contextlib.suppress(ConnectionClosed):  # _read() finds out, and tells those who wait
            await self.socket.send(json.dumps(frame))
