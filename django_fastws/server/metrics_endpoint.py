"""Metrics of the process for Prometheus, which the server answers at ``FASTWS_METRICS_PATH``, before Django."""

from __future__ import annotations

import gzip
from typing import Any
from urllib.parse import parse_qs

from ..conf import conf
from ..types import ASGIApp, Receive, Scope, Send

__all__ = ["MetricsEndpoint"]


class MetricsEndpoint:
    """Answers requests for metrics, if the project has them answered.

    Raises:
        ImproperlyConfigured: there is a path, and prometheus-client is not installed.
    """

    def __init__(self) -> None:
        self._exposition: Any = None
        if conf.metrics_path is not None:
            self._load()

    def application(self, scope: Scope) -> ASGIApp | None:
        """The application that answers a request for metrics, or None if a request is none."""
        path = conf.metrics_path
        return self._answer if path is not None and scope["type"] == "http" and scope["path"] == path else None

    def _load(self) -> None:
        from ..prometheus import exposition  # only those who want it have what it needs

        self._exposition = exposition

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 405, b"Method Not Allowed\n"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"allow", b"GET, HEAD")]
        if scope["method"] in ("GET", "HEAD"):
            if self._exposition is None:  # a test has set the path meanwhile
                self._load()
            names = parse_qs(bytes(scope.get("query_string") or b"").decode("latin-1")).get("name[]", [])
            page, content_type = self._exposition(_header(scope, b"accept"), names)
            status, body, headers = 200, page, [(b"content-type", content_type.encode())]
            if "gzip" in _header(scope, b"accept-encoding"):
                body = gzip.compress(page, compresslevel=1)
                headers.append((b"content-encoding", b"gzip"))
        headers += [(b"cache-control", b"no-store"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, wanted: bytes) -> str:
    return ",".join(value.decode("latin-1") for name, value in scope["headers"] if name == wanted)
