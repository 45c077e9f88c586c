"""What a process answers to whoever asks for its metrics."""

from __future__ import annotations

from typing import Any

from .._core.stats_text import readings_of
from ..metrics import all_metrics
from .responder import Responder, topics

__all__ = ["METRICS_TOPIC"]

METRICS_TOPIC = "metrics"


def _answer(responder: Responder, arguments: Any = None) -> dict[str, Any]:
    return {"kind": responder.kind, "metrics": readings_of(all_metrics())}


topics[METRICS_TOPIC] = _answer
