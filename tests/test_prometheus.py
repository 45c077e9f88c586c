"""What Prometheus reads: by its own parser, from a view, and from a server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncRequestFactory, RequestFactory
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from django_fastws import metrics, prometheus, views
from django_fastws._core.stats_text import readings_of
from django_fastws.metrics import all_metrics
from django_fastws.prometheus import (
    MetricsCollector,
    default_registry,
    exposition,
    readings_of_page,
    serve_metrics,
)
from tests.site import asgi  # noqa: F401 (imports what counts)


@pytest.fixture(autouse=True)
def _zero():
    metrics.reset()
    yield
    metrics.reset()


def samples(page: bytes | str) -> dict[str, float]:
    """What a page says, by name and labels, as Prometheus writes it."""
    text = page.decode() if isinstance(page, bytes) else page
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_metric_is_there_with_its_kind_and_meaning():
    families = {family.name: family for family in MetricsCollector().collect()}
    for metric in all_metrics():
        family = families[metric.exposed.removesuffix("_total")]
        assert (family.type, family.documentation) == (metric.kind, metric.meaning)
    assert len(families) == len(all_metrics())


def test_counters_gauges_and_histograms_are_what_prometheus_reads():
    metrics.denials.add(3, "origin")
    metrics.connections.add(2, '/ws/"quoted"\\{room}\n', "daphne")
    for seconds in (0.5, 20.0, 100_000.0):
        metrics.connection_seconds.observe(seconds)
    found = samples(exposition("")[0])
    assert found["fastws_denials_total{reason=origin}"] == 3
    assert found['fastws_connections{route=/ws/"quoted"\\{room}\n}{transport=daphne}'] == 2
    buckets = [found[f"fastws_connection_seconds_bucket{{le={le}}}"] for le in ("1.0", "10.0", "60.0", "+Inf")]
    assert buckets == [1, 1, 2, 3]
    assert found["fastws_connection_seconds_count"] == 3
    assert found["fastws_connection_seconds_sum"] == 100_020.5
    # Zero from the start, where there is one series.
    assert found["fastws_deliveries_total"] == found["fastws_draining"] == 0
    assert found["fastws_fanout_seconds_count"] == found["fastws_fanout_seconds_bucket{le=+Inf}"] == 0
    assert not any(name.startswith("fastws_call_seconds") for name in found)


def test_the_page_has_what_the_project_and_the_process_count():
    gauge = Gauge("mine", "Of the project.", registry=default_registry())
    try:
        gauge.set(7)
        found = samples(exposition("")[0])
    finally:
        default_registry().unregister(gauge)
    assert found["mine"] == 7
    assert found["fastws_draining"] == 0
    if sys.platform == "linux":
        assert found["process_open_fds"] > 0


def test_another_registry_takes_a_collector_of_its_own():
    registry = CollectorRegistry()
    registry.register(MetricsCollector())
    assert samples(generate_latest(registry)).keys() == {
        key for key in samples(exposition("")[0]) if key.startswith("fastws_")
    }
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(MetricsCollector())
    assert default_registry() is default_registry()


def test_openmetrics_is_what_prometheus_asks_for_today():
    page, content_type = exposition("application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert page.endswith(b"# EOF\n")


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text;version=new",
        "text/plain;version=x;escaping=y",
        "text/plain;version=1.x",
        "text/plain;version=",
        "application/openmetrics-text;version=1.0.0,text/plain;version=x",
        ";;,=",
        "\xff",
    ],
)
def test_whatever_is_accepted_is_answered(accept):
    page, _ = exposition(accept)
    assert b"\nfastws_draining 0.0\n" in page
    request = RequestFactory().get("/x", headers={"Accept": accept})
    assert prometheus.metrics(request).status_code == 200
    port, close = serve_metrics("127.0.0.1", 0)
    try:
        asked = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            assert b"\nfastws_draining 0.0\n" in answer.read()
    finally:
        close()


def test_the_registry_is_whole_for_threads_that_ask_at_once(monkeypatch):
    registry, both = CollectorRegistry(), threading.Barrier(2)
    register, registered = registry.register, []

    def slowly(collector):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # for another thread that registers too, if any can
        register(collector)
        registered.append(collector)

    monkeypatch.setattr(registry, "register", slowly)
    monkeypatch.setattr(prometheus, "REGISTRY", registry)
    monkeypatch.setattr(prometheus, "_is_registered", False)
    with ThreadPoolExecutor(2) as pool:
        assert [one.result() for one in [pool.submit(default_registry) for _ in range(2)]] == [registry] * 2
    assert len(registered) == 1


def test_a_page_is_read_again():
    metrics.connections.add(2, "/ws/{room}", "daphne")
    metrics.denials.add(1, "origin")
    for seconds in (0.0002, 0.02, 0.02, 99):
        metrics.fanout_seconds.observe(seconds)
    metrics.call_seconds.observe(0.5, "t/{pk}", "say")
    read, wanted = readings_of_page(exposition("")[0].decode()), readings_of(all_metrics())
    for name, rows in wanted.items():
        if name.endswith("outage_seconds"):  # of an outage that goes on, it has grown meanwhile
            assert read[name] == [[labels, pytest.approx(value, abs=60)] for labels, value in rows]
        else:
            assert read[name] == rows
    with pytest.raises(ValueError, match=r"."):
        readings_of_page("<html>")


def test_the_view(settings):
    metrics.denials.add(1, "host")
    answer = prometheus.metrics(RequestFactory().get("/x"))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "no-store" in answer.headers["Cache-Control"]
    assert samples(answer.content)["fastws_denials_total{reason=host}"] == 1
    some = prometheus.metrics(RequestFactory().get("/x", {"name[]": "fastws_draining"}))
    assert list(samples(some.content)) == ["fastws_draining"]
    assert prometheus.metrics(RequestFactory().post("/x")).status_code == 405
    assert prometheus.metrics(RequestFactory().head("/x")).status_code == 200


def test_the_view_is_among_the_views_of_the_package():
    answer = views.metrics(RequestFactory().get("/x"))
    assert (answer.status_code, samples(answer.content)["fastws_draining"]) == (200, 0)
    assert views.metrics(RequestFactory().put("/x")).status_code == 405


def test_the_view_answers_on_an_async_server():
    from asgiref.sync import sync_to_async

    answer = asyncio.run(sync_to_async(prometheus.metrics)(AsyncRequestFactory().get("/x")))
    assert answer.status_code == 200


def test_a_server_in_a_thread_answers_until_it_is_closed():
    port, close = serve_metrics("127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert samples(answer.read())["fastws_draining"] == 0
        with pytest.raises(OSError, match="in use"):
            serve_metrics("127.0.0.1", port)
    finally:
        close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_without_prometheus_client_the_error_says_what_to_install(monkeypatch):
    code = "import sys; sys.modules['prometheus_client'] = None; import django_fastws.prometheus"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert ImproperlyConfigured.__name__ in ran.stderr
    assert "pip install 'django-fastws[prometheus]'" in ran.stderr
