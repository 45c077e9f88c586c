"""Brokers that are not there."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

__all__ = ["fake_broker"]


def fake_broker(**methods: Any) -> Callable[[], Any]:
    """A ``get_broker`` whose broker has these methods, and no other."""
    broker = SimpleNamespace(**methods)
    return lambda: broker
