"""What was refused and closed because of a limit or a rule: counted, and told of without flooding the log."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from .. import metrics
from .._core.log_throttle import LogThrottle
from ..masking import mask_path
from ..types import Scope

__all__ = ["Denial", "count_close", "count_denial", "denials_by_rule", "log_denial"]

# What is logged of handshakes that a limit or a rule denies, of other denials, and of sockets that are closed.
_by_rule, _by_mistake, _closed = LogThrottle(), LogThrottle(), LogThrottle()
#: Reasons of a denial that are neither a limit nor a rule.
_MISTAKES = frozenset({"handler", "malformed", "not_accepted", "not_answered", "origin"})

_LOGGERS = {
    "login_required": logging.getLogger("django_fastws.access"),
    "permission": logging.getLogger("django_fastws.access"),
    "disconnect": logging.getLogger("django_fastws.users"),
    "host": logging.getLogger("django_fastws.handshake"),
    "session": logging.getLogger("django_fastws.users"),
    "handler": logging.getLogger("django_fastws.handshake"),
    "malformed": logging.getLogger("django_fastws.handshake"),
    "not_accepted": logging.getLogger("django_fastws.handshake"),
    "not_answered": logging.getLogger("django_fastws.handshake"),
}
_limits_logger = logging.getLogger("django_fastws.limits")
#: Nobody did anything wrong, or nobody here.
_QUIET = frozenset({"disconnect", "handler", "idle_timeout", "malformed", "max_lifetime", "session"})


class Denial(NamedTuple):
    """Why a handshake is refused.

    Attributes:
        kind: the limit or rule: the name of the argument of ``FastWS.websocket``, or of the setting.
        status: of the HTTP answer.
        text: for the client.
        detail: for the log.
        retry_after: seconds after which it makes sense to try again; None if nobody knows.
    """

    kind: str
    status: int
    text: str
    detail: str = ""
    retry_after: float | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Those of the answer."""
        if self.status == 401:
            # RFC 9110 section 15.5.2 asks for a challenge. Of this one browsers know nothing, and ask nobody.
            return [(b"www-authenticate", b"Session")]
        if self.retry_after is not None:
            return [(b"retry-after", b"%d" % math.ceil(self.retry_after))]
        return []


def count_denial(denial: Denial, scope: Scope) -> None:
    """Count a denial, and log it: a kind at most once a second, with how many there were."""
    line = "Denied a WebSocket on %.200r from %.100r with %s: %.500s"
    why = denial.detail or denial.text
    metrics.denials.add(1, denial.kind)
    _log_throttled(_by_rule, denial.kind, line, (mask_path(scope.get("path")), _client(scope), denial.status, why))


def log_denial(denial: Denial, scope: Scope) -> None:
    """Log a handshake that was denied for another reason than a limit or a rule; it counts as none of those."""
    line = "Denied a WebSocket on %.200r from %.100r with %s: %.500r"
    why = denial.detail or denial.text
    metrics.denials.add(1, denial.kind)
    _log_throttled(_by_mistake, denial.kind, line, (mask_path(scope.get("path")), _client(scope), denial.status, why))


def count_close(kind: str, scope: Scope, code: int, reason: str) -> None:
    """Count a socket that was closed, and log it likewise."""
    line = "Closed a WebSocket on %.200r from %.100r with %s: %s"
    metrics.forced_closes.add(1, kind)
    _log_throttled(_closed, kind, line, (mask_path(scope.get("path")), _client(scope), code, reason))


def denials_by_rule() -> Mapping[str, int]:
    """Handshakes that a limit or a rule has denied, by its name; it does not change any more."""
    denials = metrics.denials.by("reason")
    return MappingProxyType({reason: count for reason, count in denials.items() if reason not in _MISTAKES})


def _log_throttled(throttle: LogThrottle, kind: str, line: str, values: tuple[Any, ...]) -> None:
    throttle.add(kind)
    now = time.monotonic()
    count = throttle.take(kind, now)
    if count:
        _log(kind, line, values, count)
    elif _later.get((throttle, kind)) is not (loop := asyncio.get_running_loop()):
        _later[throttle, kind] = loop
        loop.call_later(throttle.wait(kind, now), _log_remaining, throttle, kind, line, values)


_later: dict[tuple[LogThrottle, str], asyncio.AbstractEventLoop] = {}


def _log_remaining(throttle: LogThrottle, kind: str, line: str, values: tuple[Any, ...]) -> None:
    """Log what came within the second: no other may come for a long time."""
    now = time.monotonic()
    if wait := throttle.wait(kind, now):  # others were logged meanwhile, or the timer was a moment early
        asyncio.get_running_loop().call_later(wait, _log_remaining, throttle, kind, line, values)
        return
    _later.pop((throttle, kind), None)
    if count := throttle.take(kind, now):
        _log(kind, line, values, count)


def _log(kind: str, line: str, values: tuple[Any, ...], count: int) -> None:
    if count > 1:
        line, values = line + " (%s of this kind since it was last said)", (*values, count)
    level = logging.INFO if kind in _QUIET else logging.WARNING
    _LOGGERS.get(kind, _limits_logger).log(level, line, *values)


def _client(scope: Scope) -> Any:
    client = scope.get("client")
    return client[0] if client else "an unknown address"
