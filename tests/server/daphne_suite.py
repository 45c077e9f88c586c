"""A pytest plugin that points daphne's own tests at our server. It is loaded by the pytest that runs them."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

import daphne.testing

import django_fastws.server  # noqa: F401 (what it needs is then there in every process)

#: What our server adds to a scope, and daphne's tests do not expect.
ADDED = {"websocket": {"http_version", "extensions", "state"}, "http": {"state"}}


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


class Application(daphne.testing.TestApplication):
    """daphne's application for tests."""

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
daphne.testing.BaseDaphneTestingInstance.startup_timeout = 20  # seconds, instead of 2
