"""Check of a handshake's Host header against ``ALLOWED_HOSTS``, as Django checks that of a request."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from ..threads import TESTING
from ..types import CallScope, Scope

__all__ = ["host_problem", "requested_host"]

_NAMES = {
    b"host": "HTTP_HOST",
    b"x-forwarded-host": "HTTP_X_FORWARDED_HOST",
    b"x-forwarded-port": "HTTP_X_FORWARDED_PORT",
}
_LONGEST_KEPT = 255  # bytes of a Host header whose decision is kept
_TEST_HOST = "testserver"  # of our test client, as of Django's


def host_problem(scope: Scope) -> str | None:
    """The reason why the Host of a handshake is not allowed, or None if it is.

    It is Django's own ``get_host()`` that decides, by ``ALLOWED_HOSTS``, ``DEBUG``, ``USE_X_FORWARDED_HOST`` and
    ``USE_X_FORWARDED_PORT``. A scope that has neither a Host nor a server came over no network, but from a test.
    """
    if not settings.USE_X_FORWARDED_HOST and TESTING not in (scope.get("extensions") or ()):
        hosts = [value for name, value in scope.get("headers") or () if name == b"host"]
        if len(hosts) == 1 and len(hosts[0]) <= _LONGEST_KEPT:
            return _kept_problem(hosts[0], tuple(settings.ALLOWED_HOSTS), settings.DEBUG)
    request = _HostRequest(scope)
    host = request.META.get("HTTP_HOST")
    if host == _TEST_HOST and TESTING in (scope.get("extensions") or {}):
        return None
    if host is None and not (settings.USE_X_FORWARDED_HOST and "HTTP_X_FORWARDED_HOST" in request.META):
        # Django would take the server's own address for it. RFC 9112 section 3.2 asks for a 400.
        return "there is no Host header" if "server" in scope else None
    try:
        request.get_host()
    except DisallowedHost as error:
        return str(error)
    return None


@lru_cache(maxsize=256)
def _kept_problem(host: bytes, allowed: tuple[str, ...], debug: object) -> str | None:
    """The problem of a Host header alone, which is the same as long as the settings are; it is Django that looks."""
    try:
        _HostRequest({"headers": [(b"host", host)]}).get_host()
    except DisallowedHost as error:
        return str(error)
    return None


def requested_host(scope: CallScope) -> str:
    """The host that a handshake asks for, as Django's ``get_host()`` finds it; empty if that is not allowed."""
    try:
        return _HostRequest(scope).get_host()
    except DisallowedHost:
        return ""


class _HostRequest(HttpRequest):
    """Request with as much as ``get_host()`` reads."""

    def __init__(self, scope: CallScope) -> None:
        server: Any = scope.get("server") or ("unknown", 0)
        self.META = {"SERVER_NAME": str(server[0]), "SERVER_PORT": str(server[1])}
        self._is_secure = scope.get("scheme") in ("wss", "https")
        for raw_name, value in scope.get("headers") or ():
            name = _NAMES.get(raw_name)
            if name is not None:  # several of one name are one to Django: a list, which is no host
                text = value.decode("latin-1")
                self.META[name] = f"{self.META[name]},{text}" if name in self.META else text

    def _get_scheme(self) -> str:
        return "https" if self._is_secure else "http"
