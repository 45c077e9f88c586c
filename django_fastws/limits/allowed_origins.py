"""ASGI middleware that checks the Origin header of a handshake (RFC 6455 section 10.2)."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from functools import lru_cache

from asgiref.sync import markcoroutinefunction
from django.conf import settings

from .. import metrics
from .._core.origins import matches_any, parse_origin, same_host
from ..conf import conf
from ..log_fields import connection_fields
from ..masking import mask_path
from ..processes import diagnosis_of
from ..transports import find_transport
from ..types import ASGIApp, CallScope, Receive, Send
from .allowed_hosts import requested_host
from .denials import deny_handshake

__all__ = ["OriginCheck"]

logger = logging.getLogger("django_fastws.handshake")

_LONGEST_KEPT = 255  # characters of an origin whose decision is kept


class OriginCheck:
    """ASGI middleware that denies browsers other origins than ``FASTWS_ALLOWED_ORIGINS`` (RFC 6455 section 10.2).

    Where that is None, the origin's host must be in ``ALLOWED_HOSTS``; if that allows every host, the origin must
    be the host that was asked for, which ``USE_X_FORWARDED_HOST`` finds behind a proxy. A client that sends no
    Origin header is no browser, and let in.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: CallScope, receive: Receive, send: Send) -> Awaitable[None]:
        origins = [value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"origin"]
        if not origins or (len(origins) == 1 and self._is_allowed(origins[0], scope)):
            return (diagnosis_of(scope) or self._inner)(scope, receive, send)
        logger.warning(
            "Denied a WebSocket from origin %.200r on %.200r: it is not in %s",
            ", ".join(origins),
            mask_path(scope.get("path")),
            "ALLOWED_HOSTS" if conf.allowed_origins is None else "FASTWS_ALLOWED_ORIGINS",
            extra=connection_fields(scope, code=403, reason="origin"),
        )
        metrics.denials.add(1, "origin")
        return deny_handshake(find_transport(scope, receive, send), 403, "Forbidden: this origin is not allowed")

    def _is_allowed(self, value: str, scope: CallScope) -> bool:
        patterns = conf.allowed_origins
        if patterns is not None:
            return "*" in patterns or value in patterns or _fits(value, tuple(patterns))
        hosts = tuple(settings.ALLOWED_HOSTS)
        if settings.DEBUG and not hosts:
            hosts = (".localhost", "127.0.0.1", "[::1]")
        if "*" not in hosts:
            return _fits(value, hosts)
        origin = parse_origin(value)
        return origin is not None and same_host(origin, requested_host(scope))


@lru_cache(maxsize=256)
def _fits_kept(value: str, patterns: tuple[str, ...]) -> bool:
    origin = parse_origin(value)
    return origin is not None and matches_any(origin, patterns)


def _fits(value: str, patterns: tuple[str, ...]) -> bool:
    """Whether an origin matches one of the patterns. Nearly all handshakes have one of a few origins."""
    return (_fits_kept if len(value) <= _LONGEST_KEPT else _fits_kept.__wrapped__)(value, patterns)
