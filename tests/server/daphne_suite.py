"""A pytest plugin that points daphne's own tests at our server. It is loaded by the pytest that runs them."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import daphne.testing
import hypothesis
import pytest

import django_fastws.server  # noqa: F401 (what it needs is then there in every process)
from tests.support.examples import AT_RANDOM

#: What our server adds to a scope, and daphne's tests do not expect.
ADDED = {"websocket": {"http_version", "extensions", "state"}, "http": {"state"}}

#: What our server does differently on purpose, by the name of daphne's test; the tests of ours are in brackets.
DIFFERENT = {
    "test_root_path_header": "any client could send Daphne-Root-Path (test_request_headers.py)",
    "test_root_path": "any client could send Daphne-Root-Path (test_request_headers.py)",
    "test_x_forwarded_for_parsed": "X-Forwarded-Port is the port that the client asked for (test_forwarded.py)",
    "test_xff": "X-Forwarded-Port is the port that the client asked for (test_forwarded.py)",
    "test_request_body_chunking": "a body is passed on as it comes, whatever the buffer (test_request_events.py)",
    "test_headers_type": "names and values of headers may be str (core/test_headers.py)",
    "test_headers_type_raw": "names and values of headers may be str (core/test_headers.py)",
}
#: A byte of a header's value that daphne refuses, and RFC 9110 section 5.5 allows.
ALLOWED_BYTE = b"\x85"
#: Names of headers of which there may be one, or that say something of the request.
MEANT = {
    *("connection", "content-length", "daphne-root-path", "expect", "host", "origin", "transfer-encoding", "upgrade"),
    *(f"sec-websocket-{name}" for name in ("accept", "extensions", "key", "protocol", "version")),
}
TIMEOUT = 20  # seconds, where daphne's tests wait for one or two: a busy machine is no failure


class Process(daphne.testing.DaphneProcess):
    """daphne's process for a test, with our server."""

    def run(self) -> None:
        os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
        daphne.testing._reinstall_reactor()
        for name in [name for name in sys.modules if name.startswith("django_fastws.server")]:
            del sys.modules[name]  # they hold the reactor of the parent

        from daphne.endpoints import build_endpoint_description_strings
        from twisted.internet import reactor

        from django_fastws.server import Server

        try:
            endpoints = build_endpoint_description_strings(host=self.host, port=self.port.value)
            self.server = Server(
                application=self.get_application(), endpoints=endpoints, signal_handlers=False, **self.kwargs
            )
            reactor.callLater(0.02, self.resolve_port)
            if self.setup is not None:
                self.setup()
            try:
                self.server.run()
            finally:
                if self.teardown is not None:
                    self.teardown()
        except BaseException as error:
            self.errors.put((error, traceback.format_exc()))

    def terminate(self) -> None:
        """End the process at once and wait for it: one that lives on takes the files of the next test away."""
        self.kill()
        self.join()


class Application(daphne.testing.TestApplication):
    """daphne's application for tests. Its files are those of this run alone."""

    directory = tempfile.TemporaryDirectory(prefix="fastws-daphne-")
    setup_storage = str(Path(directory.name) / "setup")
    result_storage = str(Path(directory.name) / "result")

    async def __call__(
        self,
        scope: Mapping[str, Any],
        receive: Callable[[], Awaitable[dict[str, Any]]],
        send: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer until the client has gone. Our server says each time that it has, and daphne's loop would spin."""
        is_disconnected = False

        async def receive_until_disconnect() -> dict[str, Any]:
            nonlocal is_disconnected
            if is_disconnected:
                await asyncio.Event().wait()
            message = await receive()
            is_disconnected = message["type"] in ("http.disconnect", "websocket.disconnect")
            return message

        await super().__call__(scope, receive_until_disconnect, send)

    @classmethod
    def load_result(cls) -> dict[str, Any]:
        """What the application has seen, without what our server adds; which must be there."""
        result: dict[str, Any] = super().load_result()
        if "scope" in result:
            for key in ADDED[result["scope"]["type"]]:
                del result["scope"][key]
        return result


daphne.testing.DaphneProcess = Process
daphne.testing.TestApplication = Application
daphne.testing.BaseDaphneTestingInstance.startup_timeout = TIMEOUT

# The smallest example of a failure is not worth a server for each step on the way to it.
hypothesis.settings.register_profile(
    "fastws",
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    database=None,
    derandomize=not AT_RANDOM,  # as of our own tests: tests/conftest.py
)
hypothesis.settings.load_profile("fastws")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is different on purpose, and have daphne's tests wait longer for an answer."""
    different = [item for item in items if item.name in DIFFERENT]
    missing = DIFFERENT.keys() - {item.name for item in different}
    if missing:
        raise pytest.UsageError(f"daphne has no such tests any more: {sorted(missing)}")
    config.hook.pytest_deselected(items=different)
    items[:] = [item for item in items if item.name not in DIFFERENT]
    for case in {item.cls for item in items if isinstance(item, pytest.Function) and item.cls}:
        if hasattr(case, "INVALID_BYTES"):
            case.INVALID_BYTES = [byte for byte in case.INVALID_BYTES if byte != ALLOWED_BYTE]
        for name in ("run_daphne_http", "run_daphne_raw", "websocket_handshake", "receive_from_socket"):
            if function := getattr(case, name, None):
                _wait_longer(function)
        for name in ("run_daphne_http", "websocket_handshake"):
            if function := getattr(case, name, None):
                setattr(case, name, _with_headers_of_its_own(function))


def _with_headers_of_its_own(function: Any) -> Any:
    """Leave out headers by names that mean something: hypothesis takes some of what stands in code it has seen."""

    @functools.wraps(function)
    def call(*args: Any, headers: list[tuple[Any, Any]] | None = None, **options: Any) -> Any:
        if headers:  # the list itself: it is compared with what the application has got
            headers[:] = [header for header in headers if _name(header) not in MEANT]
        return function(*args, headers=headers, **options)

    return call


def _name(header: tuple[Any, Any]) -> str:
    name = header[0]
    return (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()


def _wait_longer(function: Any) -> None:
    """Give a method's ``timeout`` another default."""
    if function.__kwdefaults__ and "timeout" in function.__kwdefaults__:
        function.__kwdefaults__["timeout"] = TIMEOUT
        return
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = list(function.__defaults__)
    defaults[names.index("timeout") - len(names)] = TIMEOUT
    function.__defaults__ = tuple(defaults)
