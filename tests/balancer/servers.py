"""``manage.py runws_server`` behind a proxy, with the project of these tests."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.support.processes import HOST, Process, RedisServer, free_port

__all__ = ["RunwsServer", "running"]


class RunwsServer(Process):
    """A server.

    Args:
        redis: what it shares rooms with the others through.
        options: more options of the command.
        settings: FASTWS_ settings.
    """

    is_forked = True

    def __init__(self, redis: RedisServer, *options: str, settings: dict[str, Any] | None = None) -> None:
        port = free_port()
        layer = {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": [redis.url], "prefix": "lb"}}
        super().__init__(
            [
                sys.executable,
                "manage.py",
                "runws_server",
                "-b",
                HOST,
                "-p",
                f"{port}",
                "--forwarded-hops",
                "1",
                *options,
            ],
            port,
            {
                "DJANGO_SETTINGS_MODULE": "tests.balancer.project.settings",
                "TEST_LAYER": json.dumps(layer),
                "TEST_FASTWS": json.dumps(settings or {}),
            },
        )

    @property
    def address(self) -> str:
        """For the configuration of a proxy."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self.process is not None
        return self.process.pid


@contextmanager
def running(*processes: Process) -> Iterator[None]:
    """Start processes, all at once, and end them with the block, all at once."""
    with ExitStack() as stack:
        with ThreadPoolExecutor(len(processes)) as threads:
            starts = [threads.submit(process.start) for process in processes]
        for process, start in zip(processes, starts, strict=True):
            stack.callback(process.directory.cleanup) if start.exception() else stack.push(process)
        for start in starts:
            start.result()
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
