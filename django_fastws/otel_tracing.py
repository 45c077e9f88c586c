"""Traces for OpenTelemetry: spans of handshakes, messages, calls, broadcasts and fan-outs, and their ids in the log.

The extra ``django-fastws[otel]`` installs OpenTelemetry's API. An SDK, which the project sets up, does the rest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from . import tracing
from ._core.traceparent import TraceParent, parse_traceparent
from .tracing import FAILURES, Value, Work

try:
    from opentelemetry import propagate, trace
    from opentelemetry.context import Context, attach, get_current
    from opentelemetry.trace import (
        Link,
        NonRecordingSpan,
        Span,
        SpanContext,
        SpanKind,
        Status,
        StatusCode,
        TraceFlags,
        Tracer,
        TracerProvider,
    )
except ImportError as missing:
    raise ImproperlyConfigured(
        f"Traces for OpenTelemetry need its API ({missing}): pip install 'django-fastws[otel]'"
    ) from missing

__all__ = ["export_traces"]

_SIDES = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
    "internal": SpanKind.INTERNAL,
}


def export_traces(
    tracer_provider: TracerProvider | None = None, *, room_names: bool = False, user_ids: bool = False
) -> None:
    """Have OpenTelemetry trace what this package does in this process; a second call takes the place of the first.

    Call it where the SDK is set up; before a fork or behind it. Sockets that are open already are not traced.

    From then on, records of the log that are made within a span have its ``trace_id`` and ``span_id``, in hexadecimal
    digits.

    Args:
        tracer_provider: of an SDK; None is the global one, also if that is set later.
        room_names: spans have the names of rooms, which may be personal, as an attribute.
        user_ids: spans have the primary keys of users as an attribute.
    """
    global _observer
    if _observer is not None:
        tracing.uninstall(_observer)
    _observer = _Spans(trace.get_tracer("django_fastws", None, tracer_provider), room_names, user_ids)
    tracing.install(_observer)
    _put_ids_into_the_log()


class _Spans:
    """Observer that makes a span of each unit of work."""

    def __init__(self, tracer: Tracer, room_names: bool, user_ids: bool) -> None:  # noqa: FBT001 (as above)
        self._tracer = tracer
        self._room_names = room_names
        self._user_ids = user_ids

    def begin(self, work: Work) -> _WorkSpan | None:
        kind = work.kind
        if not kind.side:
            return None
        outer = get_current()
        context = self._context(work, outer)
        span = self._tracer.start_span(
            work.name,
            context,
            kind=_SIDES[kind.side],
            attributes=self._attributes(work),
            links=[Link(found) for text in work.links if (found := _span_context(text, is_remote=True)) is not None],
            start_time=work.begun_ns,
        )
        if work.is_current:
            attach(trace.set_span_in_context(span, context))
        return _WorkSpan(span, outer if work.is_current else None)

    @staticmethod
    def _context(work: Work, outer: Context) -> Context:
        """What the span is part of."""
        kind, given = work.kind, None
        if work.parent:
            given = _span_context(work.parent, is_remote=kind.parent == "publisher")
        if given is not None:
            return trace.set_span_in_context(NonRecordingSpan(given), Context())
        if kind.parent == "headers" and work.scope is not None:
            return propagate.extract(_headers(work.scope), outer)
        return outer if kind.parent == "current" else Context()

    def _attributes(self, work: Work) -> dict[str, Value]:
        kind = work.kind
        found: dict[str, Value] = {**dict(kind.fixed), **work.attributes}
        if kind.subject and work.subject:
            found[kind.subject] = work.subject
        if kind.event and work.event:
            found[kind.event] = work.event
        if work.connection:
            found["fastws.connection.id"] = work.connection
        if self._room_names and work.room:
            found["fastws.room"] = work.room
        if self._user_ids and work.scope is not None:
            pk = getattr(work.scope.get("user"), "pk", None)
            if pk is not None:
                found["user.id"] = str(pk)
        return found


class _WorkSpan:
    """Span of one unit of work.

    Args:
        outer: the context to go back to; None if the span is not current.
    """

    __slots__ = ("_outer", "_span")

    def __init__(self, span: Span, outer: Context | None) -> None:
        self._span = span
        self._outer = outer

    @property
    def traceparent(self) -> str:
        found = self._span.get_span_context()
        return str(TraceParent(found.trace_id, found.span_id, found.trace_flags)) if found.is_valid else ""

    def end(self, error: BaseException | None, code: str, attributes: Mapping[str, Value]) -> None:
        span = self._span
        if span.is_recording():
            for name, value in attributes.items():
                span.set_attribute(name, value)
            if error is not None:
                span.record_exception(error)
                code = code or type(error).__qualname__
            if code:
                span.set_attribute("error.type", code)
            if error is not None or code in FAILURES or code.startswith("5"):  # a status
                span.set_status(Status(StatusCode.ERROR, "" if error is None else type(error).__qualname__))
        span.end()

    def leave(self) -> None:
        # The token of attach() would tie this to the context in which it began; tasks of a handler may have others.
        if self._outer is not None:
            attach(self._outer)
            self._outer = None


def _span_context(text: str, *, is_remote: bool) -> SpanContext | None:
    found = parse_traceparent(text)
    if found is None:
        return None
    return SpanContext(found.trace_id, found.span_id, is_remote, TraceFlags(found.flags))


def _headers(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a handshake, for a propagator; of several with one name, joined as HTTP has it."""
    found: dict[str, str] = {}
    for name, value in scope.get("headers") or ():
        key, text = bytes(name).decode("latin-1").lower(), bytes(value).decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


_observer: _Spans | None = None
_has_ids = False


def _put_ids_into_the_log() -> None:
    """Have records of the log tell in which span they were made; of what logs within none, nothing is added."""
    global _has_ids
    if _has_ids:
        return
    _has_ids = True
    make = logging.getLogRecordFactory()

    def make_with_ids(*args: Any, **options: Any) -> logging.LogRecord:
        record = make(*args, **options)
        found = trace.get_current_span().get_span_context()
        if found.is_valid:
            record.trace_id = f"{found.trace_id:032x}"
            record.span_id = f"{found.span_id:016x}"
        return record

    logging.setLogRecordFactory(make_with_ids)
