"""System checks of how metrics are exposed."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf
from .registering import system_check

__all__ = ["check_metrics"]


@system_check
def check_metrics() -> Iterator[CheckMessage]:
    """E080: metrics for Prometheus without prometheus-client. W081: at a path that is taken."""
    try:
        path, taken = conf.metrics_path, {"HEALTH": conf.health_path, "READY": conf.ready_path}
    except ImproperlyConfigured:  # which another check reports
        return
    if path is None:
        return
    try:
        from .. import prometheus  # noqa: F401 (whether it can be)
    except ImproperlyConfigured as error:
        yield Error(
            f"FASTWS_METRICS_PATH is {path!r}, and there is nothing to answer with: {error}",
            hint="pip install 'django-fastws[prometheus]', or leave FASTWS_METRICS_PATH out.",
            id="fastws.E080",
        )
    for name, other in taken.items():
        if path == other:
            yield Warning(
                f"FASTWS_METRICS_PATH is {path!r}, as is FASTWS_{name}_PATH, which is answered there.",
                hint='Give the metrics a path of their own, such as "/metrics".',
                id="fastws.W081",
            )
