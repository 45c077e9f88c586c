"""Many clients that send all the time, and come back when they are closed: ``python -m tests.balancer.load``.

A process of its own, so that its work delays nobody else's. It connects its clients, and then does what it reads,
line by line, and answers with one line of JSON:

    settled          waits until every client is connected and has had a broadcast acknowledged since, and says how
                     many are at each server, by its pid
    stopping <pid>   remembers that this server is about to be stopped, and says how many are connected to it
    finish           ends the sending, waits for what is under way, and says what has happened
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.balancer.ledger import NEVER, Broadcast, disordered, owed
from tests.balancer.raw import Connection

PATIENCE = 60.0  # seconds that any one thing may take
LONGEST_DELAY = 4.0  # seconds before a client tries again


class Load:
    """All of the clients."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._current: list[Connection | None] = [None] * options.clients
        self._joined: list[Connection] = []
        self._refused: Counter[str] = Counter()
        self._stops: dict[int, float] = {}
        self._is_finishing = False
        self._numbers: Iterator[int] = itertools.count()

    # The clients

    async def client(self, number: int) -> None:
        """Stay connected, and send now and then."""
        failures = 0
        while True:
            # The delay is random, and the longer the more attempts have failed.
            await asyncio.sleep(random.uniform(0, min(LONGEST_DELAY, 2**failures)))
            connection = Connection(f"room{number % self._options.rooms}", next(self._numbers))
            self._current[number] = connection
            try:
                await self._connect(connection)
            except OSError as error:
                connection.refused = type(error).__name__
            else:
                await asyncio.wait([connection.joined, connection.over], return_when=asyncio.FIRST_COMPLETED)
            if connection.stay is None:
                self._refused[connection.refused or "cut"] += 1
                failures += 1
            else:
                self._joined.append(connection)
                failures = 0
                await self._send(connection)
                await connection.over

    async def _connect(self, connection: Connection) -> None:
        options = self._options
        await asyncio.get_running_loop().create_connection(lambda: connection, options.host, options.port)

    async def _send(self, connection: Connection) -> None:
        while not self._is_finishing:
            delay = random.uniform(0.5, 1.5) / self._options.rate
            await asyncio.wait([connection.over], timeout=delay)
            if connection.code:
                return
            if not self._is_finishing:
                connection.broadcast()

    # The commands

    async def settled(self) -> dict[int, int]:
        await _until(lambda: all(connection and connection.is_at_work for connection in self._current))
        return self._connected()

    async def stopping(self, pid: str) -> int:
        self._stops[int(pid)] = time.monotonic()
        return self._connected()[int(pid)]

    async def finish(self) -> dict[str, Any]:
        self._is_finishing = True
        await _until(lambda: not self._under_way())
        return self._report()

    def _connected(self) -> Counter[int]:
        return Counter(connection.stay.pid for connection in self._joined if connection.stay and not connection.code)

    def _under_way(self) -> bool:
        """Whether something that was sent on connections that stand is not acknowledged, or has not come."""
        standing = [connection for connection in self._joined if not connection.code]
        if any(broadcast.acknowledged_at == NEVER for one in standing for broadcast in one.broadcasts):
            return True
        return bool(owed(self._broadcasts(), [one.stay for one in standing if one.stay], self._stops).missing)

    def _broadcasts(self) -> list[Broadcast]:
        return [broadcast for connection in self._joined for broadcast in connection.broadcasts]

    def _report(self) -> dict[str, Any]:
        broadcasts = self._broadcasts()
        stays = [connection.stay for connection in self._joined if connection.stay]
        closed, standing = [
            [stay for stay in stays if (stay.ended_at < NEVER) is is_over] for is_over in (True, False)
        ]
        to_closed, to_standing = owed(broadcasts, closed, self._stops), owed(broadcasts, standing, self._stops)
        first_stop = min(self._stops.values(), default=NEVER)
        return {
            "connections": len(stays),
            "refused": self._refused,
            "closed": {pid: self._codes(pid) for pid in {stay.pid for stay in stays}},
            "sent": len(broadcasts),
            "acknowledged": sum(broadcast.acknowledged_at < NEVER for broadcast in broadcasts),
            "acknowledged before the first stop": sum(one.acknowledged_at < first_stop for one in broadcasts),
            "heard": sum(len(numbers) for stay in stays for numbers in stay.heard.values()),
            "owed to the closed": to_closed.count,
            "owed to the standing": to_standing.count,
            "missing": len(to_closed.missing) + len(to_standing.missing),
            "disordered": len(disordered(stays)),
        }

    def _codes(self, pid: int) -> Counter[int]:
        """How the connections of a process have ended."""
        return Counter(one.code for one in self._joined if one.code and one.stay and one.stay.pid == pid)


async def _until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, or for so long that the answer will show that it does not."""
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:  # noqa: ASYNC110 (a hundred things may make it true)
        await asyncio.sleep(0.02)


async def main(options: argparse.Namespace) -> None:
    """Do what stdin says, to its end."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    load = Load(options)
    async with asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(load.client(number)) for number in range(options.clients)]
        async for line in lines:
            command, *arguments = line.decode().split()
            print(json.dumps(await getattr(load, command)(*arguments)), flush=True)
        for task in clients:
            task.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--rate", type=float, default=1.0, help="messages of each client, per second")
    asyncio.run(main(parser.parse_args()))
