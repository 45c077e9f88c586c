"""What OpenTelemetry's SDK is told when it asks, by its reader in memory."""

from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from django_fastws import FastWS, metrics
from django_fastws.metrics import all_metrics, on_connection_end
from django_fastws.otel_metrics import export_metrics
from django_fastws.testing import connect
from tests.site import asgi  # noqa: F401 (sets Django up again)


@pytest.fixture
def read():
    """Reads what an SDK exports: by name, the kind, the unit and the points by their attributes."""
    metrics.reset()
    told, reader = list(on_connection_end), InMemoryMetricReader()
    provider = MeterProvider([reader])
    export_metrics(provider)
    export_metrics(provider)  # once is enough

    def found():
        data = reader.get_metrics_data()
        return {
            metric.name: (
                type(metric.data).__name__,
                metric.unit,
                {frozenset(point.attributes.items()): point for point in metric.data.data_points},
            )
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    yield found
    on_connection_end[:] = told
    provider.shutdown()
    metrics.reset()


def at(**attributes):
    return frozenset(attributes.items())


def test_every_metric_is_there_when_it_has_a_value(read):
    for metric in all_metrics():
        labels = ["x"] * len(metric.labels)
        if metric.kind == "histogram":
            metric.observe(0.5, *labels)
        else:
            metric.add(1, *labels)
    names = read().keys()
    for metric in all_metrics():
        if metric.kind == "histogram":
            assert {f"fastws.{metric.name}.{part}" for part in ("count", "sum", "bucket")} <= names
        elif not metric.labels or metric.kind == "counter":
            assert f"fastws.{metric.name}" in names


def test_counters_gauges_and_histograms(read):
    metrics.denials.add(3, "origin")
    metrics.connections.add(2, "/ws/x", "daphne")
    for seconds in (0.0005, 0.02, 5):
        metrics.fanout_seconds.observe(seconds)
    found = read()
    kind, unit, points = found["fastws.denials"]
    assert (kind, unit, points[at(reason="origin")].value) == ("Sum", "{handshake}", 3)
    assert found["fastws.draining"][1] == "{process}"
    kind, unit, points = found["fastws.connections"]
    assert (kind, unit, points[at(route="/ws/x", transport="daphne")].value) == ("Sum", "{connection}", 2)
    assert found["fastws.deliveries"][2][at()].value == 0
    assert found["fastws.fanout_seconds.count"][2][at()].value == 3
    assert found["fastws.fanout_seconds.sum"][1] == "s"
    assert found["fastws.fanout_seconds.sum"][2][at()].value == pytest.approx(5.0205)
    buckets = found["fastws.fanout_seconds.bucket"][2]
    assert [buckets[at(le=le)].value for le in ("0.0003", "0.001", "0.03", "+Inf")] == [0, 1, 2, 3]
    metrics.denials.add(1, "origin")
    assert read()["fastws.denials"][2][at(reason="origin")].value == 4


async def test_connections_have_the_names_of_the_conventions_for_signalr(read, routes):
    async def handler(ws):
        await ws.accept()
        async for _ in ws:
            pass

    async def restarted(ws):
        await ws.accept()
        await ws.close(1012)

    app = FastWS()
    app.websocket("/x")(handler)
    app.websocket("/restarted")(restarted)
    async with connect("/x"):
        kind, unit, points = read()["signalr.server.active_connections"]
        assert (kind, unit) == ("Sum", "{connection}")
        assert points[frozenset({("signalr.transport", "web_sockets")})].value == 1
    async with connect("/restarted") as ws:
        await ws.wait_closed()
    found = read()
    (active,) = found["signalr.server.active_connections"][2].values()
    assert active.value == 0
    kind, unit, points = found["signalr.server.connection.duration"]
    assert (kind, unit) == ("Histogram", "s")
    assert {
        dict(attributes)["signalr.connection.status"]: (dict(attributes)["signalr.transport"], point.count)
        for attributes, point in points.items()
    } == {"normal_closure": ("web_sockets", 1), "app_shutdown": ("web_sockets", 1)}
    (point, *_) = points.values()
    assert list(point.explicit_bounds)[:3] == [0.01, 0.02, 0.05]


def test_without_opentelemetry_the_error_says_what_to_install():
    code = "import sys; sys.modules['opentelemetry'] = None; import django_fastws.otel_metrics"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'django-fastws[otel]'" in ran.stderr
