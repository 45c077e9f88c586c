"""A TCP proxy that cuts, freezes and delays."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

from tests.support.processes import HOST, free_port
from tests.support.tcp import accepted

__all__ = ["Proxy"]


class Proxy:
    """Stands in front of a port of this machine, in a thread of its own; use it in a ``with`` block.

    Attributes:
        port: where it listens.
        delay: seconds by which what comes is late, in each direction.
        is_frozen: swallow what comes, in both directions, without a word.
        is_mute: swallow what the server answers.
        taken: how many bytes came from clients.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.delay = 0.0
        self.is_frozen = self.is_mute = False
        self.taken = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"redis://{HOST}:{self.port}"

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Cut every connection, and refuse new ones."""
        self._run(self._cut(refuse=True))

    def cut_once(self) -> None:
        """Cut every connection."""
        self._run(self._cut(refuse=False))

    def restore(self) -> None:
        """Listen again, and let everything through."""
        self.delay, self.is_frozen, self.is_mute = 0.0, False, False
        self._run(self._listen())

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _cut(self, *, refuse: bool) -> None:
        if refuse and self._server is not None:
            server, self._server = self._server, None
            # A server that is closed takes no connection that it has just accepted: nobody would close that.
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            await accepted()
            server.close()
        for writer in list(self._writers):
            self._abort(writer)

    async def _stop(self) -> None:
        await self._cut(refuse=True)
        await accepted()
        await self._cut(refuse=True)
        while self._serving:
            await asyncio.wait(self._serving)
        await self._cut(refuse=True)
        await asyncio.sleep(0)  # the turn in which transports end

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self._writers.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection(HOST, self.target)
            self._writers.add(server_writer)
            await asyncio.gather(
                self._pump(reader, server_writer, is_answer=False), self._pump(server_reader, writer, is_answer=True)
            )
        except OSError:
            self._abort(writer)
        finally:
            self._serving.discard(task)

    def _abort(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        self._writers.discard(writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool) -> None:
        due = 0.0
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not is_answer:
                    self.taken += len(data)
                if not self.is_frozen and not (is_answer and self.is_mute):
                    due = max(due, self._loop.time() + self.delay)  # nothing overtakes
                    self._loop.call_at(due, self._write, writer, data)
        self._loop.call_at(max(due, self._loop.time() + self.delay), self._abort, writer)

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if not writer.transport.is_closing():
            writer.write(data)
