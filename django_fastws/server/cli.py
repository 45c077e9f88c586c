"""Command line of the server: daphne's, with the project's application as default and options of our own."""

from __future__ import annotations

import argparse
import functools
import logging
from typing import Any

from daphne.cli import CommandLineInterface as DaphneCommandLineInterface
from django.conf import settings
from django.utils.module_loading import import_string
from twisted.internet.endpoints import quoteStringArgument

from ..logs import configure_log
from ..types import ASGIApp
from .event_loop import LOOPS, LoopUnavailable, use_loop
from .lifespan import MODES
from .server import Server

__all__ = ["CommandLineInterface", "OptionError"]

logger = logging.getLogger("django_fastws.server")

_LEVELS = {0: logging.WARNING, 1: logging.INFO}  # by -v


class OptionError(Exception):
    """Invalid option, or combination of options; the text says why."""


class CommandLineInterface(DaphneCommandLineInterface):  # type: ignore[misc]
    """Command line for ``manage.py runws_server``: daphne's."""

    parser: Any

    description = "Serves HTTP and WebSockets with the hardened daphne."

    def __init__(self) -> None:
        super().__init__()
        self._application: ASGIApp | None = None
        for action in self.parser._actions:
            if action.dest == "application":
                action.nargs, action.default = "?", None
                action.help = "The application, as module:name or module.name. Default: ASGI_APPLICATION."
            elif action.dest in ("websocket_max_message_size", "websocket_max_frame_size"):
                action.default = None
                action.help = f"{action.help} Default: FASTWS_MAX_MESSAGE_BYTES."
            elif action.dest == "log_fmt":
                action.default = None
                action.help = "The format of the log, as Python's logging takes it. Default: FASTWS_LOG_FORMAT."
            elif action.dest == "access_log":
                action.help = "Where requests are written in NCSA's form; - is standard output. Default: in the log."
            elif action.dest == "proxy_headers":
                action.help = "Believe the X-Forwarded-* headers of one proxy; the same as --forwarded-hops 1."
        add_options(self.parser)

    def load_asgi_app(self, asgi_app_path: str | None) -> ASGIApp:
        """The application that is given, or the one at a path like ``module:name`` or ``module.name``."""
        if self._application is not None:
            return self._application
        path = asgi_app_path or getattr(settings, "ASGI_APPLICATION", None)
        if not path:
            raise OptionError("there is no application: set ASGI_APPLICATION, or name one")
        if ":" in path:
            application: ASGIApp = super().load_asgi_app(path)
        else:
            application = import_string(path)
        return application

    def start(self, options: argparse.Namespace, application: ASGIApp | None = None) -> None:
        """Serve until told to stop.

        Args:
            application: to serve, in a script that may go on behind this; None for the one that the options or
                ``ASGI_APPLICATION`` name, in a process that ends with it.
        Raises:
            OptionError: the options contradict each other, or there is no application.
            SystemExit: it could not listen, or the application could not start.
        """
        if options.forwarded_hops is not None and options.forwarded_hops < 0:
            raise OptionError("--forwarded-hops takes a number of proxies from 0")
        if options.drain_seconds is not None and not 0 <= options.drain_seconds < 1e6:
            raise OptionError("--drain-seconds takes a number of seconds from 0")
        self.server_class = functools.partial(
            Server,
            forwarded_hops=options.forwarded_hops,
            lifespan=options.lifespan,
            per_message_deflate=options.per_message_deflate,
            drain_seconds=options.drain_seconds,
            keeps_signals=application is None,
            logs_requests=not options.access_log,
        )
        self._application = application
        if options.unix_socket:
            options.unix_socket = _quoted(options.unix_socket)
        configure_log(_LEVELS.get(options.verbosity, logging.DEBUG), fmt=options.log_fmt)
        try:
            loop = use_loop(options.loop)
        except LoopUnavailable as error:
            raise OptionError(f"--loop uvloop: {error}") from None
        logger.info("The event loop is that of %s", loop, extra={"loop": loop})
        parser, self.parser = self.parser, _Parsed(options)
        try:
            super().run([])
        except argparse.ArgumentError as error:
            raise OptionError(str(error)) from None
        finally:
            self.parser = parser

    def run(self, args: list[str]) -> None:
        """Parse a command line, and serve."""
        try:
            self.start(self.parser.parse_args(args))
        except OptionError as error:
            self.parser.error(str(error))


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that daphne does not have."""
    parser.add_argument(
        "--forwarded-hops",
        type=int,
        metavar="N",
        help="How many proxies stand in front of the server: the client's address is the N-th from the right in "
        "X-Forwarded-For, and X-Forwarded-Proto is believed likewise. Default: 0, they are not believed.",
    )
    parser.add_argument(
        "--lifespan",
        choices=MODES,
        default="auto",
        help="Whether the application is told when serving begins and ends; auto: if it can be told.",
    )
    parser.add_argument(
        "--loop",
        choices=LOOPS,
        default="auto",
        help="The event loop to serve on; auto: uvloop, if it is installed.",
    )
    parser.add_argument(
        "--ws-per-message-deflate",
        dest="per_message_deflate",
        action="store_true",
        help="Agree to compression (RFC 7692) with clients that offer it.",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        metavar="N",
        help="How long an orderly stop may take. Default: FASTWS_DRAIN_SECONDS.",
    )


def _quoted(path: str) -> str:
    """A path as a part of an endpoint of Twisted's, in which colons and equals signs have a meaning."""
    return str(quoteStringArgument(path)).replace("=", r"\=")  # which Twisted itself leaves as it is


class _Parsed:
    """Parser in the place of daphne's, for options that were parsed already."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def parse_args(self, args: Any) -> argparse.Namespace:
        return self._options
