"""Settings: ``FASTWS_*`` in the project's settings, all optional, read live."""

from __future__ import annotations

from .kinds import COUNT_OR_NONE, RATE_OR_NONE, TIMEOUT_OR_NONE, Kind
from .setting import Setting
from .table import SETTINGS, Conf, check_settings, conf

__all__ = [
    "COUNT_OR_NONE",
    "Conf",
    "Kind",
    "RATE_OR_NONE",
    "SETTINGS",
    "Setting",
    "TIMEOUT_OR_NONE",
    "check_settings",
    "conf",
]
