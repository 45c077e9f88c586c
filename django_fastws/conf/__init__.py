"""Settings: ``FASTWS_*`` in the project's settings, all optional, read live."""

from __future__ import annotations

from . import kinds
from .descriptor import Setting
from .kinds import InDebug, ValueKind
from .settings import SETTINGS, Conf, check_settings, conf

__all__ = ["SETTINGS", "Conf", "InDebug", "ValueKind", "Setting", "check_settings", "conf", "kinds"]
