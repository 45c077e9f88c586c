"""A process that broadcasts to a live room of ``bench.sites.history``: it reads what to do, line by line.

    python -m bench.sites.speaker loop|threads ROOM

``N`` broadcasts so many times, many of them under way at once, and says ``done``. ``on SECONDS`` goes on broadcasting
with such pauses, until the next line comes, and then says where the last one is in the room's history.
"""

import asyncio
import select
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import django

from bench.messages import SAID, TASKS, THREADS
from django_fastws import Room


async def _from_tasks(room: Room, count: int) -> None:
    missing = iter(range(count))

    async def speak() -> None:
        for _ in missing:
            await room.abroadcast(SAID, "said")

    await asyncio.gather(*(speak() for _ in range(TASKS)))


def _from_threads(room: Room, count: int, threads: ThreadPoolExecutor) -> None:
    missing = iter(range(count))

    def speak() -> None:
        for _ in missing:
            room.broadcast(SAID, "said")

    for speaker in [threads.submit(speak) for _ in range(THREADS)]:
        speaker.result()


def _go_on(room: Room, pause: float) -> str:
    position = room.broadcast(SAID, "said")
    while not select.select([sys.stdin], [], [], pause)[0]:
        position = room.broadcast(SAID, "said")
    sys.stdin.readline()
    return str(position)


def run(room: Room, broadcast: Callable[[int], None]) -> None:
    """Do what is asked for, until nobody asks any more."""
    print("ready", flush=True)
    while line := sys.stdin.readline():
        match line.split():
            case ["on", pause]:
                print(_go_on(room, float(pause)), flush=True)
            case [count]:
                broadcast(int(count))
                print("done", flush=True)


def main() -> None:
    """Set up as any script would."""
    django.setup()
    way, name = sys.argv[1:]
    room = Room(name)
    if way == "loop":
        with asyncio.Runner() as runner:
            run(room, lambda count: runner.run(_from_tasks(room, count)))
    else:
        with ThreadPoolExecutor(THREADS) as threads:
            run(room, lambda count: _from_threads(room, count, threads))


if __name__ == "__main__":
    main()
