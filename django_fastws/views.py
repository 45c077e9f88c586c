"""Views of Django's: HTTP publish, by which other systems broadcast to rooms, and the metrics for Prometheus."""

from __future__ import annotations

import logging
import threading
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from ._core.forks import reset_in_child
from ._core.json import dumps
from ._core.log_throttle import LogThrottle
from ._core.publish_keys import PublishKey
from ._core.publish_request import BadPublish, parse_publish
from ._core.publish_signature import HEADERS, BadSignature, signer
from .clock import process_clock
from .conf import conf
from .publishing import publish_items

__all__ = ["metrics", "publish"]

logger = logging.getLogger("django_fastws.publish")

#: The largest body, where ``FASTWS_MAX_BODY_BYTES`` is None.
MOST_BYTES = 4 * 1024 * 1024

_REFUSED = "refused"


class _Refusals:
    """What was refused, said once a minute: anybody can send as much of it as they like."""

    def __init__(self) -> None:
        self._throttle = LogThrottle(60.0)
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Replace the lock in a forked child: another thread of the parent may have held it."""
        self._lock = threading.Lock()

    def add(self, request: HttpRequest, error: BadSignature) -> None:
        """Count a refused request, and say it unless that was said just now."""
        with self._lock:
            self._throttle.add(_REFUSED)
            count = self._throttle.take(_REFUSED, process_clock.monotonic())
        if count:
            named = request.headers.get(HEADERS[0], "")
            address = request.META.get("REMOTE_ADDR", "")
            logger.warning(
                "HTTP publish refused %d request%s; this one with the key %.80r, from %s: %s",
                count,
                "" if count == 1 else "s",
                named,
                address,
                error,
            )


_refusals = _Refusals()


@csrf_exempt
@login_not_required
def publish(request: HttpRequest) -> HttpResponse:
    """Broadcast what a signed request says: ``path("realtime/publish", publish)``.

    It is a sync view, for WSGI and ASGI: under ASGI Django calls it in a thread. Broadcasts do not wait for
    transactions, and ``ATOMIC_REQUESTS`` does not apply.
    """
    if request.method != "POST":
        response = _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "bad_request", "HTTP publish takes POST")
        response["Allow"] = "POST"
        return response
    limit = conf.max_body_bytes or MOST_BYTES
    try:
        body = _body(request, limit)
    except UnreadablePostError:  # nobody is there any more who would read this
        return _refusal(HTTPStatus.BAD_REQUEST, "bad_request", "the body has not come whole")
    if body is None:
        return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_big", f"the body has more than {limit} bytes")
    try:
        key = _signer(request, body)
    except BadSignature as error:
        _refusals.add(request, error)
        response = _refusal(HTTPStatus.UNAUTHORIZED, "unauthenticated", str(error))
        response["WWW-Authenticate"] = "Fastws"
        response._has_been_logged = True  # type: ignore[attr-defined]  # Django would, each of them
        return response
    try:
        items = parse_publish(body)
    except BadPublish as error:
        return _refusal(HTTPStatus.BAD_REQUEST, "bad_request", str(error), place=error.place)
    return _response(HTTPStatus.OK, {"results": publish_items(key, items)})


for _alias in connections:  # a broadcast that waits for the end of the request has no position, and no error
    transaction.non_atomic_requests(using=_alias)(publish)


def _body(request: HttpRequest, limit: int) -> bytes | None:
    """The body; None if it is over the limit, of which no more than that is read."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if length.isdecimal() and int(length[:20]) > limit:
        return None
    parts, missing = [], limit + 1
    while missing and (part := request.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts) if missing else None


def _signer(request: HttpRequest, body: bytes) -> PublishKey:
    headers = {name: request.headers.get(name, "").strip(" \t") for name in HEADERS}
    return signer(conf.publish_keys, headers, body, process_clock.time())


def _refusal(status: HTTPStatus, code: str, message: str, **more: str) -> HttpResponse:
    return _response(status, {"error": {"code": code, "message": message, **more}})


def _response(status: HTTPStatus, data: Any) -> HttpResponse:
    return HttpResponse(dumps(data), content_type="application/json", status=status)


def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics of the process that answers, as Prometheus reads them.

    Everybody who can ask for the URL sees them: wrap it, or leave it to an address that only Prometheus reaches. A
    project with ``LoginRequiredMiddleware`` wraps it in ``login_not_required``, for Prometheus does not log in.

    Raises:
        ImproperlyConfigured: prometheus-client is not installed.
    """
    from .prometheus import metrics as answer  # only those who want it have what it needs

    return answer(request)
