"""Limits of one route: its own, and those that it leaves to the settings."""

from __future__ import annotations

from typing import Any, TypeVar

from .table import FROM_SETTINGS, OPTIONS, Limit

__all__ = ["Limits"]

Value = TypeVar("Value")


class Limits:
    """The limits of one route.

    Args:
        values: the options of ``FastWS.websocket``, by name; None is no limit.
    Raises:
        ValueError: one of them cannot be; the text names it.
    """

    def __init__(self, **values: Any) -> None:
        self._values = {name: OPTIONS[name].checked(value) for name, value in values.items()}

    def get(self, limit: Limit[Value]) -> Value:
        """A limit as it is now; None where there is none."""
        value: Any = self._values.get(limit.name, limit.default)
        if value is FROM_SETTINGS and limit.setting is not None:
            return limit.setting.current
        return value  # type: ignore[no-any-return]

    def is_own(self, limit: Limit[Any]) -> bool:
        """Whether the route names this limit itself, and so counts by itself."""
        return self._values.get(limit.name, FROM_SETTINGS) is not FROM_SETTINGS
