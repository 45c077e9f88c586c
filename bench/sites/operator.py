"""An operator: asks all servers of ``bench.crowd`` for what a line names, and says how many milliseconds it took.

    python -m bench.sites.operator

Lines are ``list``, ``search``, ``rooms`` and ``kick``. An answer that is not whole is an error.
"""

import asyncio
import sys
import time

import django

_PAGE = 100
_KICKED = 20
_ROOM = "prices-all"
_SECONDS = 30.0  # after which a process counts as lost


async def _list() -> None:
    from django_fastws.console import read_sockets

    page = await read_sockets(order="-sent_bytes", limit=_PAGE, seconds=_SECONDS)
    if page.is_partial or not page.rows:
        raise RuntimeError(f"the page is not whole: {page.missing} missing, {page.errors}")


async def _search() -> None:
    from django_fastws.console import SocketSearch, read_sockets

    page = await read_sockets(SocketSearch(user="ada", address="10."), limit=_PAGE, seconds=_SECONDS)
    if page.is_partial or not page.rows:
        raise RuntimeError(f"the page is not whole: {page.missing} missing, {page.errors}")


async def _rooms() -> None:
    from django_fastws.console import read_rooms

    page = await read_rooms(limit=_PAGE, seconds=_SECONDS)
    if page.is_partial or not page.rows:
        raise RuntimeError(f"the page is not whole: {page.missing} missing, {page.errors}")


async def _kick(ids: list[str]) -> None:
    from django_fastws.console import kick

    result = await kick(_ROOM, ids=ids, seconds=_SECONDS)
    if result.is_partial or result.done != len(ids):
        raise RuntimeError(f"{result.done} of {len(ids)} were kicked: {result}")


async def _members() -> list[str]:
    """Some of those who are still in the room."""
    from django_fastws.console import SocketSearch, read_sockets

    page = await read_sockets(SocketSearch(room=_ROOM), limit=_KICKED, seconds=_SECONDS)
    if not page.rows:
        raise RuntimeError(f"nobody is left in {_ROOM}")
    return [row.id for row in page.rows[: max(1, page.total // 2)]]


async def main() -> None:
    """Read lines, and do what they say."""
    work = {"list": _list, "search": _search, "rooms": _rooms}
    while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
        ids = await _members() if line == "kick" else []
        began = time.perf_counter()
        await (_kick(ids) if line == "kick" else work[line]())
        print(f"{1000 * (time.perf_counter() - began):.3f}", flush=True)


if __name__ == "__main__":
    django.setup()
    asyncio.run(main())
