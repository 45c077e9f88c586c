"""Envelopes whose message is any JSON."""

from __future__ import annotations

import json
from typing import Any

from django_fastws._core.envelope import BROADCAST, Envelope

__all__ = ["holding", "value_of"]


def holding(group: str, value: Any) -> Envelope:
    """A broadcast to a group."""
    return Envelope(BROADCAST, group, json.dumps(value))


def value_of(envelope: Envelope) -> Any:
    """What it holds."""
    return json.loads(envelope.data)
