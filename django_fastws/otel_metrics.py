"""The metrics of this process for OpenTelemetry: observable instruments, which read the registry when they are asked.

The extra ``django-fastws[otel]`` installs OpenTelemetry's API. An SDK, which the project sets up, asks and exports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any
from weakref import WeakKeyDictionary

from django.core.exceptions import ImproperlyConfigured

from ._core.instruments import Counter, Histogram, Labels, Metric
from .metrics import all_metrics, connections, on_connection_end

try:
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider
except ImportError as missing:
    raise ImproperlyConfigured(
        f"Metrics for OpenTelemetry need its API ({missing}): pip install 'django-fastws[otel]'"
    ) from missing

__all__ = ["export_metrics"]

_UNITS = {"seconds": "s", "bytes": "By", "processes": "{process}"}
#: Where the conventions for SignalR have the bounds of buckets for how long connections last, in seconds.
_DURATIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
_TRANSPORT = {"signalr.transport": "web_sockets"}
_SHUTDOWN_CODES = frozenset({1001, 1012})  # going away, service restart
_CUT = 1006

Callback = Callable[[CallbackOptions], Iterator[Observation]]

#: The providers that have the instruments.
_exporting: WeakKeyDictionary[MeterProvider, bool] = WeakKeyDictionary()


def export_metrics(meter_provider: MeterProvider | None = None) -> None:
    """Have OpenTelemetry export the metrics of this process; a second call for one provider does nothing.

    Call it where the SDK is set up, in each process: behind the fork, if there is one.

    Counters and gauges are ``fastws.`` and the name of the table, without a prefix or an ending; of a histogram there
    are ``.count``, ``.sum`` and ``.bucket``, with cumulated counts by the attribute ``le``, because OpenTelemetry has
    no histogram that can be read from elsewhere. ``signalr.server.active_connections`` and
    ``signalr.server.connection.duration`` are as the semantic conventions have them.

    Args:
        meter_provider: of an SDK; None is the global one.
    """
    provider = get_meter_provider() if meter_provider is None else meter_provider
    if provider in _exporting:
        return
    _exporting[provider] = True
    meter = provider.get_meter("django_fastws")
    for metric in all_metrics():
        name, unit = f"fastws.{metric.name}", _UNITS.get(metric.unit, f"{{{metric.unit.removesuffix('s')}}}")
        if isinstance(metric, Histogram):
            number = "{observation}"
            meter.create_observable_counter(f"{name}.count", [_counts(metric)], number, metric.meaning)
            meter.create_observable_counter(f"{name}.sum", [_sums(metric)], unit, metric.meaning)
            meter.create_observable_counter(f"{name}.bucket", [_buckets(metric)], number, metric.meaning)
        elif isinstance(metric, Counter):
            meter.create_observable_counter(name, [_values(metric)], unit, metric.meaning)
        else:
            meter.create_observable_up_down_counter(name, [_values(metric)], unit, metric.meaning)
    meter.create_observable_up_down_counter(
        "signalr.server.active_connections",
        [_active_connections],
        "{connection}",
        "Number of connections that are currently active on the server.",
    )
    duration = meter.create_histogram(
        "signalr.server.connection.duration",
        "s",
        "The duration of connections on the server.",
        explicit_bucket_boundaries_advisory=_DURATIONS,
    )

    def count_end(seconds: float, code: int, by: str) -> None:
        duration.record(seconds, {**_TRANSPORT, "signalr.connection.status": _status(code, by)})

    on_connection_end.append(count_end)


def _status(code: int, by: str) -> str:
    """How a connection has ended, in the words of the conventions."""
    if by == "server" and code in _SHUTDOWN_CODES:
        return "app_shutdown"
    return "timeout" if code == _CUT else "normal_closure"


def _active_connections(options: CallbackOptions) -> Iterator[Observation]:
    yield Observation(connections.value, _TRANSPORT)


def _values(metric: Any) -> Callback:
    def read(options: CallbackOptions) -> Iterator[Observation]:
        nothing: dict[Labels, float] = {} if metric.labels else {(): 0}
        for labels, value in (metric.values or nothing).items():
            yield Observation(value, _attributes(metric, labels))

    return read


def _counts(metric: Histogram) -> Callback:
    def read(options: CallbackOptions) -> Iterator[Observation]:
        for labels, value in metric.values.items():
            yield Observation(value.count, _attributes(metric, labels))

    return read


def _sums(metric: Histogram) -> Callback:
    def read(options: CallbackOptions) -> Iterator[Observation]:
        for labels, value in metric.values.items():
            yield Observation(value.sum, _attributes(metric, labels))

    return read


def _buckets(metric: Histogram) -> Callback:
    bounds = [*map(str, metric.bounds), "+Inf"]

    def read(options: CallbackOptions) -> Iterator[Observation]:
        for labels, value in metric.values.items():
            for bound, count in zip(bounds, accumulate(value.counts), strict=True):
                yield Observation(count, {**_attributes(metric, labels), "le": bound})

    return read


def _attributes(metric: Metric, labels: Labels) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
