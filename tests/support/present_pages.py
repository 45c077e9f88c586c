"""Pages that know who else is in their room, as the browser client does; for tests of presence on real servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.site.client import LIMIT, abort, connect, token
from tests.support.processes import ASGIServer

__all__ = ["Page", "raw_page", "with_cookie"]

PATH = "/ws/live"


def with_cookie(cookie: str) -> dict[str, Any]:
    return {"additional_headers": {"Cookie": cookie}} if cookie else {}


class Page:
    """A page in one live room.

    Args:
        room: its name.
        client: the id of its client; a new one by default.
        cookie: of the user's session; nobody's by default.

    Attributes:
        people: who is present, by key: the card, and the number of connections.
        version: the number of the newest diff that it has.
        count: how many are present, where that is told.
        told: what it was told after the answer of its last join.
        left: the keys that it was ever told to have left.
        answer: of its last join.
    """

    def __init__(self, room: str, client: str | None = None, cookie: str = "") -> None:
        self.room = room
        self.client = client or f"c-{token()}"
        self._options = with_cookie(cookie)
        self._numbers = itertools.count(1)
        self.people: dict[str, tuple[Any, int]] = {}
        self.version: int | None = None
        self.count: int | None = None
        self.told: list[dict[str, Any]] = []
        self.left: list[str] = []
        self.answer: dict[str, Any] = {}
        self.ws: Any = None
        self._sockets: list[Any] = []

    async def open(self, server: ASGIServer, **more: Any) -> Page:
        """Connect and join; with the number that it had, if it had one."""
        self.ws = await connect(server, PATH, **self._options, **more)
        self._sockets.append(self.ws)
        await self.ask(hello={"client": self.client})
        await self.join()
        return self

    async def join(self) -> None:
        since = {} if self.version is None else {"v": self.version}
        self.told.clear()
        self.answer = await self.ask(join=self.room, **since)
        self._update(self.answer)

    async def error(self, **frame: Any) -> dict[str, Any]:
        """The error that a frame is answered with."""
        await self.say(frame)
        while "error" not in (got := await self._next()):
            pass
        error: dict[str, Any] = got["error"]
        return error

    async def say(self, frame: dict[str, Any]) -> int:
        number = next(self._numbers)
        await self.ws.send(json.dumps({**frame, "id": number}))
        return number

    async def ask(self, **frame: Any) -> Any:
        number = await self.say(frame)
        while (got := await self._next()).get("id") != number:
            assert "id" not in got, got
        assert "ok" in got, got
        return got["ok"]

    async def call(self, event: str, **data: Any) -> Any:
        return await self.ask(room=self.room, event=event, data=data)

    async def _next(self) -> dict[str, Any]:
        got: dict[str, Any] = json.loads(await self.ws.recv())
        if got.get("room") == self.room:
            self.told.append(got)
            self._update(got)
        return got

    def _update(self, frame: dict[str, Any]) -> None:
        present, changes = frame.get("present"), frame.get("presence")
        if present is not None:
            self.left += [key for key in self.people if key not in present]
            self.people = {key: (one["meta"], one["connections"]) for key, one in present.items()}
            self.version = frame["v"]
        elif changes is not None and (self.version is None or frame["v"] > self.version):
            assert self.version is not None, "changes of what it never had"
            self.version = frame["v"]
            for key in changes["left"]:
                self.people.pop(key, None)
                self.left.append(key)
            for key, one in {**changes["joined"], **changes["changed"]}.items():
                self.people[key] = one["meta"], one["connections"]
        self.count = frame.get("count", self.count)

    async def until(self, condition: Callable[[Page], Any], limit: float = LIMIT) -> None:
        """Read what it is told until something is so."""
        try:
            async with asyncio.timeout(limit):
                while not condition(self):
                    await self._next()
        except TimeoutError:
            raise AssertionError(f"it was told {self.told}, and has {self.people}, {self.count}") from None

    async def until_there(self, *keys: str, limit: float = LIMIT) -> None:
        """These are present, besides itself, and nobody else."""
        me = {key for key in self.people if key == self.client}
        await self.until(lambda page: page.people.keys() == me | {*keys}, limit)

    async def drop(self) -> None:
        """The connection is lost, as a network is that goes away; returns when the socket is closed."""
        await _drop(self.ws)

    async def close(self) -> None:
        """The tab is closed."""
        if self.ws is not None:
            await self.ws.close(1001)

    async def __aenter__(self) -> Page:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for ws in self._sockets:
            await _drop(ws)


async def _drop(ws: Any) -> None:
    if not ws.transport.is_closing():
        abort(ws)
    async with asyncio.timeout(LIMIT):
        await ws.wait_closed()


@contextlib.asynccontextmanager
async def raw_page(server: ASGIServer, room: str, cookie: str = "") -> AsyncIterator[Any]:
    """A raw socket that is present in a room ``here/...``."""
    async with connect(server, f"/ws/present/{room.partition('/')[2]}", **with_cookie(cookie)) as ws:
        assert await ws.recv_json() == "present"
        yield ws
