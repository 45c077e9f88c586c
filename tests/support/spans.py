"""Spans that the package makes: exported in memory, or, by the servers of tests, into a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler

from django_fastws import otel_tracing, tracing

__all__ = ["Seen", "Spans", "export_to", "read_file", "tracing_into_memory"]


class Seen(NamedTuple):
    """Span as a test sees it: ids in hexadecimal digits; "" for no parent."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    links: list[str]
    attributes: dict[str, Any]
    status: str
    errors: list[str]


def _seen(span: ReadableSpan) -> Seen:
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.start_time <= span.end_time
    return Seen(
        span.name,
        span.kind.name,
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
        "" if span.parent is None else f"{span.parent.span_id:016x}",
        [f"{link.context.span_id:016x}" for link in span.links],
        dict(span.attributes or {}),
        span.status.status_code.name,
        [str((event.attributes or {})["exception.type"]) for event in span.events],
    )


class Spans:
    """Spans that have ended, in memory."""

    def __init__(self, provider: TracerProvider) -> None:
        self.provider = provider
        self._exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def all(self) -> list[Seen]:
        return [_seen(span) for span in self._exporter.get_finished_spans()]

    def names(self) -> list[str]:
        return [span.name for span in self.all()]

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> Seen:
        found = self.named(name)
        assert len(found) == 1, (name, self.names())
        return found[0]

    def clear(self) -> None:
        self._exporter.clear()


@contextmanager
def tracing_into_memory(sampler: Sampler | None = None, **options: Any) -> Iterator[Spans]:
    """Trace within the block; the options are those of ``export_traces()``."""
    before = tracing.observers
    provider = TracerProvider(sampler=sampler or ParentBased(ALWAYS_ON), shutdown_on_exit=False)
    spans = Spans(provider)
    otel_tracing.export_traces(provider, **options)
    try:
        yield spans
    finally:
        for observer in tracing.observers:
            if observer not in before:
                tracing.uninstall(observer)
        provider.shutdown()


class _IntoFile(SpanExporter):
    def __init__(self, path: str) -> None:
        self._path = path

    def export(self, spans: Any) -> SpanExportResult:
        with Path(self._path).open("a") as file:
            file.writelines(json.dumps(_seen(span)) + "\n" for span in spans)
        return SpanExportResult.SUCCESS


def export_to(path: str) -> None:
    """Trace this process, into a file."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(_IntoFile(path)))
    otel_tracing.export_traces(provider)


def read_file(path: Path) -> list[Seen]:
    """What a process has exported so far."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [Seen(*json.loads(line)) for line in lines if line.endswith("\n")]
