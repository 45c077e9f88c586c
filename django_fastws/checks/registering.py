"""Registration of system checks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage

__all__ = ["Check", "all_checks", "system_check"]

Check = Callable[..., list[CheckMessage]]

all_checks: list[Check] = []


def system_check(function: Callable[[], Iterator[CheckMessage]]) -> Check:
    """Decorate a generator of messages: a check as Django calls it, among ``all_checks``."""

    def check(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
        return list(function())

    check.__name__, check.__doc__ = function.__name__, function.__doc__
    all_checks.append(check)
    return check
