"""Log of what a layer delivers and nobody can decode."""

from __future__ import annotations

import logging

from .._core.envelope import UnknownVersion

__all__ = ["DecodingErrors"]

logger = logging.getLogger("django_fastws.layer")


class DecodingErrors:
    """Log of decoding errors, of which one client tells each kind once.

    Any publisher of the layer can send anything: no traceback helps, and it may be long.
    """

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log(self, error: Exception) -> None:
        """A message was ignored, for this reason."""
        if isinstance(error, UnknownVersion):
            self._log_once("Ignoring messages of %s: another process runs another release of django_fastws", error)
        else:
            what = f"{type(error).__name__}: {str(error)[:200]}"
            self._log_once("Ignoring what is no message of a channel layer: %s", what)

    def log_stranger(self, group: str, room: str) -> None:
        """A message for one room has come for another."""
        line = "Ignoring broadcasts that came for %s and say that they are for another room: %.80r"
        self._log_once(line, group, room)

    def _log_once(self, line: str, *values: object) -> None:
        if line not in self._logged:
            self._logged.add(line)
            logger.warning(line, *values)
