"""Development server for ``runserver``: ours, with its defaults and its lines in the log."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from ..logs import log_to_stderr
from .access_log import log_denied_handshake, shown
from .server import Server

__all__ = ["DevelopmentServer"]

#: What daphne takes for the largest message where nothing else is said.
_DAPHNE_MAX_SIZE = 1024 * 1024


class DevelopmentServer(Server):
    """Server for ``runserver``, with a short drain: the developer who stops it is waiting."""

    spreads_drain = False
    _LONGEST_DRAIN = 3.0  # seconds
    _can_listen = True

    def __init__(self, *args: Any, **options: Any) -> None:
        for name in ("websocket_max_message_size", "websocket_max_frame_size"):
            # runserver has options and settings of daphne's for these; if they say nothing, ours does.
            if options.get(name) == _DAPHNE_MAX_SIZE:
                del options[name]
        super().__init__(*args, **{"lifespan": "auto", **options})
        log_to_stderr()

    def run(self) -> None:
        """Serve until told to stop.

        Raises:
            SystemExit: it could not listen. In the thread of the reloader, which would go on, the process ends.
        """
        super().run()
        if self._can_listen:
            return
        if threading.current_thread() is threading.main_thread():
            raise SystemExit(1)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)  # as Django's own runserver does, instead of waiting for code to change

    def listen_error(self, failure: Any) -> None:
        self._can_listen = False
        super().listen_error(failure)

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Pass what has happened to the command, which has a line without the reason of a denial."""
        is_daphnes = getattr(self.action_logger, "__func__", None) is _daphnes_log_action()
        if (protocol, action) == ("websocket", "rejected") and is_daphnes:
            log_denied_handshake(shown(details))
        else:
            super().log_action(protocol, action, details)

    @property
    def drain_seconds(self) -> float:
        return min(super().drain_seconds, self._LONGEST_DRAIN)


def _daphnes_log_action() -> Any:
    from daphne.management.commands.runserver import Command  # needs the apps

    return Command.log_action
