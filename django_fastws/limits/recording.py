"""Recording of denials and forced closes: metrics, and a log throttled to one line a second for each reason."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import metrics
from .._core.log_throttle import LogThrottle
from ..log_fields import connection_fields
from ..masking import mask_path
from ..traced_sockets import DENIED
from ..types import Scope
from .denials import Denial
from .table import LIMITS

if TYPE_CHECKING:
    from ..transports import ASGITransport
    from .limited_connection import LimitedConnection

__all__ = ["denials_by_rule", "record_close", "record_denial", "record_own_denial"]

_access_logger = logging.getLogger("django_fastws.access")
_handshake_logger = logging.getLogger("django_fastws.handshake")
_limits_logger = logging.getLogger("django_fastws.limits")
_users_logger = logging.getLogger("django_fastws.users")


class _Reason(NamedTuple):
    """Reason of denials and closes, and its log level: INFO is for what is nobody's mistake, or nobody's here.

    Attributes:
        is_rule: it is a limit or a rule, as ``statistics()`` shows; else a mistake of the client or the handler.
    """

    logger: logging.Logger
    level: int
    is_rule: bool = True


_REASONS = {
    **{limit.name: _Reason(_limits_logger, limit.level) for limit in LIMITS},
    "console": _Reason(_users_logger, logging.INFO),
    "disconnect": _Reason(_users_logger, logging.INFO),
    "error": _Reason(_handshake_logger, logging.ERROR, is_rule=False),
    "handler": _Reason(_handshake_logger, logging.INFO, is_rule=False),
    "host": _Reason(_handshake_logger, logging.WARNING),
    "kick": _Reason(_users_logger, logging.INFO),
    "login_required": _Reason(_access_logger, logging.WARNING),
    "malformed": _Reason(_handshake_logger, logging.INFO, is_rule=False),
    "not_accepted": _Reason(_handshake_logger, logging.WARNING, is_rule=False),
    "not_found": _Reason(_handshake_logger, logging.INFO, is_rule=False),
    "not_answered": _Reason(_handshake_logger, logging.WARNING, is_rule=False),
    "origin": _Reason(_handshake_logger, logging.WARNING, is_rule=False),
    "permission": _Reason(_access_logger, logging.WARNING),
    "session": _Reason(_users_logger, logging.INFO),
}


def record_denial(denial: Denial, scope: Scope) -> None:
    """Count a denied handshake, and log it: a reason at most once a second, with how many there were."""
    metrics.denials.add(1, denial.reason)
    scope[DENIED] = denial.reason, denial.status
    why = denial.detail or denial.text
    if not _REASONS[denial.reason].is_rule:
        why = repr(why)  # it may repeat what the client has sent
    line = "Denied a WebSocket on %.200r from %.100r with %s: %.500s"
    values = mask_path(scope.get("path")), _client(scope), denial.status, why
    fields = connection_fields(scope, code=denial.status, reason=denial.reason)
    _log_throttled(_denials, denial.reason, line, values, fields)


def record_own_denial(transport: ASGITransport, connection: LimitedConnection | None, label: str) -> None:
    """Count and log that a handler has denied its handshake by itself, if it has; once it has ended.

    Args:
        connection: of the handler; what has closed it from outside is counted by ``record_close()``.
        label: of the handler.
    """
    if transport.state.is_denied and not (connection is not None and connection.is_ended):
        record_denial(Denial("handler", 403, "Forbidden", f"{label} closed it before accept()"), transport.scope)


def record_close(reason: str, scope: Scope, code: int, text: str) -> None:
    """Count a socket that was closed from outside its handler, and log it likewise.

    Args:
        reason: the name of the limit; "console", "disconnect", "kick" or "session".
        code, text: of the close frame.
    """
    metrics.forced_closes.add(1, reason)
    line = "Closed a WebSocket on %.200r from %.100r with %s: %s"
    fields = connection_fields(scope, code=code, reason=reason)
    _log_throttled(_closes, reason, line, (mask_path(scope.get("path")), _client(scope), code, text), fields)


def denials_by_rule() -> Mapping[str, int]:
    """Handshakes that a limit or a rule has denied, by its name; it does not change any more."""
    denials = metrics.denials.by("reason")
    return MappingProxyType({reason: count for reason, count in denials.items() if _REASONS[reason].is_rule})


_denials, _closes = LogThrottle(), LogThrottle()
#: The event loops whose timer will log what remains, by throttle and reason.
_timers: dict[tuple[LogThrottle, str], asyncio.AbstractEventLoop] = {}


def _log_throttled(
    throttle: LogThrottle, reason: str, line: str, values: tuple[Any, ...], fields: dict[str, Any]
) -> None:
    throttle.add(reason)
    now = time.monotonic()
    count = throttle.take(reason, now)
    if count:
        _log(reason, line, values, fields, count)
    elif _timers.get((throttle, reason)) is not (loop := asyncio.get_running_loop()):
        _timers[throttle, reason] = loop
        loop.call_later(throttle.wait(reason, now), _log_remaining, throttle, reason, line, values, fields)


def _log_remaining(
    throttle: LogThrottle, reason: str, line: str, values: tuple[Any, ...], fields: dict[str, Any]
) -> None:
    """Log what came within the second: no other may come for a long time."""
    now = time.monotonic()
    if wait := throttle.wait(reason, now):  # others were logged meanwhile, or the timer was a moment early
        asyncio.get_running_loop().call_later(wait, _log_remaining, throttle, reason, line, values, fields)
        return
    _timers.pop((throttle, reason), None)
    if count := throttle.take(reason, now):
        _log(reason, line, values, fields, count)


def _log(reason: str, line: str, values: tuple[Any, ...], fields: dict[str, Any], count: int) -> None:
    if count > 1:
        line, values = line + " (%s of this kind since it was last said)", (*values, count)
    logger, level, _ = _REASONS[reason]
    logger.log(level, line, *values, extra={**fields, "count": count})


def _client(scope: Scope) -> Any:
    client = scope.get("client")
    return client[0] if client else "an unknown address"
