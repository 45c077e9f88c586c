"""System checks of the settings of this package: kinds, misspelt names, origins, keys of HTTP publish."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from ..conf import SETTINGS, conf
from ..routing import did_you_mean
from .registering import system_check

__all__ = ["check_origins", "check_publish_keys", "check_settings"]

_LEAST_SECRET = 32  # bytes, as many as an HMAC-SHA256 has


@system_check
def check_settings() -> Iterator[CheckMessage]:
    """E020: a setting of the wrong kind. W021: a setting that does not exist."""
    for name, setting in SETTINGS.items():
        if hasattr(settings, name) and not setting.kind.is_right(getattr(settings, name)):
            yield Error(
                f"{setting.kind.wrong(name, getattr(settings, name))}.",
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


@system_check
def check_publish_keys() -> Iterator[CheckMessage]:
    """W070: a secret of HTTP publish that can be guessed. W071: a key without rooms. W072: a pattern of no effect."""
    setting = SETTINGS["FASTWS_PUBLISH_KEYS"]
    if not setting.kind.is_right(getattr(settings, setting.name, {})):
        return  # which another check says
    for key in conf.publish_keys.values():
        if short := [secret for secret in key.secrets if len(secret) < _LEAST_SECRET]:
            yield Warning(
                f"A secret of {key.id!r} in {setting.name} can be guessed: it has {len(min(short, key=len))} bytes.",
                hint=f"Make one of at least {_LEAST_SECRET} bytes: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))"',
                id="fastws.W070",
            )
        for room in key.rooms:
            if any(char in room for char in "{?["):
                yield Warning(
                    f"The key {key.id!r} in {setting.name} may publish to {room!r}, the room of this very name.",
                    hint="Only * stands for other text: write 'orders/*' for 'orders/{pk}'.",
                    id="fastws.W072",
                )
        if not any(key.rooms):
            yield Warning(
                f"The key {key.id!r} in {setting.name} may publish to no room.",
                hint="List its rooms, such as 'rooms': ['orders/*'], or remove the key.",
                id="fastws.W071",
            )


def _looks_like_ours(name: str) -> bool:
    """Whether a setting can only be one of ours: by its prefix, or by one that is nearly that."""
    if name.startswith("FASTWS"):
        return True
    prefix = name.removeprefix("DJANGO_").partition("WS_")[0]
    return "WS_" in name and SequenceMatcher(None, prefix, "FAST").ratio() > 0.7
