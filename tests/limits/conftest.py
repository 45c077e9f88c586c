"""Fixtures of the tests of limits."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from django_fastws import metrics
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.limits import recording
from django_fastws.limits.process import ProcessLimits
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)


@pytest.fixture
def fresh(monkeypatch):
    """A process that has counted nothing yet, and a Django that is set up."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
    _begin_anew(monkeypatch)
    monkeypatch.setattr(recording, "_denials", LogThrottle())
    monkeypatch.setattr(recording, "_closes", LogThrottle())
    metrics.reset()


@pytest.fixture
def at(monkeypatch):
    """The time that rates of handshakes go by, and the log: ``at.time = 5``."""
    clock = SimpleNamespace(time=0.0)
    clock.monotonic = lambda: clock.time
    for module in ("limits.admission", "limits.process", "limits.recording"):
        monkeypatch.setattr(f"django_fastws.{module}.time", clock)
    _begin_anew(monkeypatch)
    return clock


def _begin_anew(monkeypatch):
    limits = ProcessLimits()
    for module in ("limits.admission", "asgi", "limits.process"):
        monkeypatch.setattr(f"django_fastws.{module}.process_limits", limits)
