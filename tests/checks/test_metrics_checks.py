"""Checks of how metrics are exposed: for each, what provokes it and what looks like it and is right."""

from __future__ import annotations

import sys

import pytest

from tests.checks.messages import found

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture
def without_prometheus_client(monkeypatch):
    monkeypatch.delitem(sys.modules, "django_fastws.prometheus", raising=False)
    monkeypatch.delattr("django_fastws.prometheus", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)


@pytest.mark.usefixtures("without_prometheus_client")
def test_metrics_for_prometheus_without_prometheus_client():
    (message,) = found(FASTWS_METRICS_PATH="/metrics").values()
    assert message.id == "fastws.E080"
    assert "pip install 'django-fastws[prometheus]'" in message.hint
    assert found(FASTWS_METRICS_PATH=None) == {}


@pytest.mark.parametrize("name", ["FASTWS_HEALTH_PATH", "FASTWS_READY_PATH"])
def test_metrics_at_the_path_of_a_health_check(name):
    (message,) = found(FASTWS_METRICS_PATH="/metrics", **{name: "/metrics"}).values()
    assert message.id == "fastws.W081"
    assert name in message.msg


def test_metrics_at_a_path_of_their_own():
    assert found(FASTWS_METRICS_PATH="/metrics") == {}
    assert found(FASTWS_METRICS_PATH="/metrics", FASTWS_HEALTH_PATH=None, FASTWS_READY_PATH=None) == {}


def test_what_is_no_path_is_the_business_of_another_check():
    assert list(found(FASTWS_METRICS_PATH=5)) == ["fastws.E020"]
