"""The metrics of this process for Prometheus, through prometheus-client: a collector, a view, a server.

The extra ``django-fastws[prometheus]`` installs prometheus-client. Nothing is counted here: the collector reads the
registry of ``metrics.py`` whenever somebody asks. It is registered with the default registry of prometheus-client, so
that one page has the metrics of the package, of the project and of the process, and any other exporter of that
registry has ours, too.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ._core.instruments import Counter, Gauge, Histogram, HistogramValue, Labels, Metric
from .metrics import all_metrics

try:
    from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
    from prometheus_client.core import Metric as Family
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.parser import text_string_to_metric_families
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise ImproperlyConfigured(
        f"Metrics for Prometheus need prometheus-client ({missing}): pip install 'django-fastws[prometheus]'"
    ) from missing

__all__ = ["MetricsCollector", "default_registry", "exposition", "metrics", "readings_of_page", "serve_metrics"]


class MetricsCollector(Collector):
    """Collector of prometheus-client that reads the metrics of the package.

    The default registry of prometheus-client has one; for a registry of one's own:
    ``MyRegistry.register(MetricsCollector())``.
    """

    def collect(self) -> Iterator[Family]:
        """Every metric with its values now."""
        return map(_family, all_metrics())

    def describe(self) -> Iterator[Family]:
        """Every metric without values, for a registry that looks whether a name is taken."""
        return map(_empty_family, all_metrics())


def _empty_family(metric: Metric) -> Any:
    kinds = {Counter: CounterMetricFamily, Gauge: GaugeMetricFamily, Histogram: HistogramMetricFamily}
    return kinds[type(metric)](metric.exposed, metric.meaning, labels=metric.labels)


def _family(metric: Metric) -> Any:
    family = _empty_family(metric)
    # Without labels it is known from the start that there is one series; of others, what has happened.
    if isinstance(metric, Histogram):
        bounds = [str(bound) for bound in metric.bounds] + ["+Inf"]
        never = {} if metric.labels else {(): HistogramValue([0] * len(bounds), 0.0)}
        for labels, value in (metric.values or never).items():
            buckets = list(zip(bounds, accumulate(value.counts), strict=True))
            family.add_metric(labels, buckets, sum_value=value.sum)
    elif isinstance(metric, (Counter, Gauge)):
        nothing: dict[Labels, float] = {} if metric.labels else {(): 0}
        for labels, number in (metric.values or nothing).items():
            family.add_metric(labels, number)
    return family


_collector = MetricsCollector()
_is_registered = False
_registering = threading.Lock()


def default_registry() -> CollectorRegistry:
    """The default registry of prometheus-client, with the metrics of the package in it."""
    global _is_registered
    with _registering:  # two views, each in a thread of its own
        if not _is_registered:
            REGISTRY.register(_collector)
            _is_registered = True
    return REGISTRY


def exposition(accept: str, names: Sequence[str] = ()) -> tuple[bytes, str]:
    """The metrics as Prometheus reads them, and their content type.

    Args:
        accept: the header of the request.
        names: of the metrics that are wanted, as Prometheus has them; none are all.
    """
    registry: Any = default_registry()
    encode, content_type = choose_encoder(_understood(accept))
    return encode(registry.restricted_registry(names) if names else registry), content_type


def _understood(accept: str) -> str:
    """An Accept header that prometheus-client understands: this, or none where it fails at a version in it."""
    try:
        choose_encoder(accept)
    except (TypeError, ValueError):
        return ""
    return accept


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics of the process that answers, as Prometheus reads them: a view.

    Everybody who can ask for the URL sees them: wrap it, or leave it to an address that only Prometheus reaches.
    """
    page, content_type = exposition(request.headers.get("Accept", ""), request.GET.getlist("name[]"))
    return HttpResponse(page, content_type=content_type)


def readings_of_page(page: str) -> dict[str, list[list[Any]]]:
    """What a page of metrics says of those of the package, as ``stats_text.readings_of()`` would have it.

    Raises:
        ValueError: it is none.
    """
    families = {family.name: family for family in text_string_to_metric_families(page)}
    found: dict[str, list[list[Any]]] = {}
    for metric in all_metrics():
        family = families.get(metric.exposed.removesuffix("_total"))
        rows: dict[Labels, Any] = {}
        for sample in family.samples if family is not None else ():
            labels = tuple(sample.labels.get(label, "") for label in metric.labels)
            if not isinstance(metric, Histogram):
                if sample.name == metric.exposed:
                    rows[labels] = sample.value
                continue
            counts, total = rows.setdefault(labels, ([], [0.0]))
            if sample.name.endswith("_bucket"):  # cumulated, and in order
                counts.append(int(sample.value) - sum(counts))
            elif sample.name.rpartition("_")[2] == "sum":
                total[0] = sample.value
        if rows:
            found[metric.name] = [
                [list(labels), [value[0], value[1][0]] if isinstance(metric, Histogram) else value]
                for labels, value in rows.items()
            ]
    return found


def serve_metrics(host: str, port: int) -> tuple[int, Callable[[], None]]:
    """Serve the same in a thread of its own, whatever the path.

    Args:
        port: 0 is any that is free.
    Returns:
        The port, and what ends it.
    Raises:
        OSError: it cannot listen there.
    """
    server, thread = start_http_server(port, host, default_registry())
    application: Any = server.get_app()

    def answer(environ: dict[str, Any], start_response: Any) -> Any:
        environ["HTTP_ACCEPT"] = _understood(environ.get("HTTP_ACCEPT", ""))
        return application(environ, start_response)

    server.set_app(answer)

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, close
