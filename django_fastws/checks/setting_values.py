"""System checks of the settings of this package: kinds, misspelt names, origins."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from ..conf import SETTINGS, conf
from ..routing import did_you_mean
from .registering import system_check

__all__ = ["check_origins", "check_settings"]


@system_check
def check_settings() -> Iterator[CheckMessage]:
    """E020: a setting of the wrong kind. W021: a setting that does not exist."""
    for name, setting in SETTINGS.items():
        if hasattr(settings, name) and not setting.kind.is_right(getattr(settings, name)):
            yield Error(
                f"{name} = {getattr(settings, name)!r} is not {setting.kind.wanted}.",
                hint=f"Set {name} to {setting.kind.wanted}, or remove it.",
                id="fastws.E020",
            )
    for name in dir(settings):
        if _looks_like_ours(name) and name not in SETTINGS:
            meant = did_you_mean(name, SETTINGS)
            yield Warning(
                f"There is no setting {name}." + (f" Did you mean {meant}?" if meant else ""),
                hint=f"Rename it to {meant}." if meant else f"The settings are {', '.join(sorted(SETTINGS))}.",
                id="fastws.W021",
            )


@system_check
def check_origins() -> Iterator[CheckMessage]:
    """W008: ALLOWED_HOSTS allows every host, so that the origin check has nothing to go by."""
    if "*" in settings.ALLOWED_HOSTS and conf.allowed_origins is None:
        yield Warning(
            "ALLOWED_HOSTS contains '*', so the origin of a WebSocket can only be compared with the Host header.",
            hint="List your hosts in ALLOWED_HOSTS, or your sites in FASTWS_ALLOWED_ORIGINS.",
            id="fastws.W008",
        )


def _looks_like_ours(name: str) -> bool:
    """Whether a setting can only be one of ours: by its prefix, or by one that is nearly that."""
    if name.startswith("FASTWS"):
        return True
    prefix = name.removeprefix("DJANGO_").partition("WS_")[0]
    return "WS_" in name and SequenceMatcher(None, prefix, "FAST").ratio() > 0.7
