"""The same sockets, in a process that counts nothing but what each message adds to two numbers."""

from typing import Any

from django_fastws import metrics
from django_fastws._core.instruments import Counter, Gauge, Histogram, HistogramCell


def _nothing(*args: Any, **options: Any) -> None: ...


for owner, names in (
    (metrics, ("count_call", "count_close", "count_connection", "count_fan_out")),
    (Counter, ("add",)),
    (Gauge, ("add",)),
    (Histogram, ("observe",)),
    (HistogramCell, ("observe",)),
):
    for name in names:
        setattr(owner, name, _nothing)

from bench.sites.consumers import app  # noqa: E402 (imported last, so that nothing has counted before)

__all__ = ["app"]
