"""System checks of presence: that the channel layer keeps it, and that its settings agree."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings
from django.core.checks import CheckMessage, Warning
from django.core.exceptions import ImproperlyConfigured

from ..conf import conf
from ..layer import get_broker
from ..routing import registry
from .registering import system_check

__all__ = ["check_presence", "check_presence_settings"]

_SETTINGS = (
    "FASTWS_PRESENCE_GRACE_SECONDS",
    "FASTWS_PRESENCE_LEASE_SECONDS",
    "FASTWS_PRESENCE_RETURN_SECONDS",
)


@system_check
def check_presence() -> Iterator[CheckMessage]:
    """W057: presence on a layer that keeps nothing of who is there."""
    having = [room for room in registry.rooms if room.presence is not None]
    if not having:
        return
    try:
        keeps = get_broker().presence is not None
    except Exception:  # whatever a layer's constructor raises; its first use tells
        return
    if keeps:
        return
    yield Warning(
        f"Live rooms have presence, as {having[0].pattern!r} in {having[0].place}, and the channel layer "
        f"{settings.CHANNEL_LAYERS['default']['BACKEND']} keeps nothing of who is there: "
        "they go without it, and their members are told of nobody.",
        hint='Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
        '"CONFIG": {"hosts": ["redis://..."]}}}, or leave presence out.',
        id="fastws.W057",
    )


@system_check
def check_presence_settings() -> Iterator[CheckMessage]:
    """W058: settings of presence that contradict others, so that people leave who are there."""
    if not any(room.presence is not None for room in registry.rooms) and not any(map(_is_set, _SETTINGS)):
        return
    try:
        grace, lease, back = conf.presence_grace_seconds, conf.presence_lease_seconds, conf.presence_return_seconds
        timeout, drain = conf.publish_timeout_seconds, conf.drain_seconds
    except ImproperlyConfigured:  # which E020 tells
        return
    if back < grace:
        yield _contradiction(
            f"FASTWS_PRESENCE_RETURN_SECONDS = {back:g} is shorter than FASTWS_PRESENCE_GRACE_SECONDS = {grace:g}: "
            "who was on a server that stops in order has less time to come back than one whose connection is lost.",
            f"Set FASTWS_PRESENCE_RETURN_SECONDS to more than {grace:g}, or the grace to less.",
        )
    elif back <= drain:
        yield _contradiction(
            f"FASTWS_PRESENCE_RETURN_SECONDS = {back:g} is not longer than FASTWS_DRAIN_SECONDS = {drain:g}, which a "
            "server may take to stop: its last clients may be told of as gone before they can be anywhere else.",
            f"Set FASTWS_PRESENCE_RETURN_SECONDS to {drain:g} and the time that clients need to come back.",
        )
    if lease <= timeout:
        yield _contradiction(
            f"FASTWS_PRESENCE_LEASE_SECONDS = {lease:g} is not longer than FASTWS_PUBLISH_TIMEOUT_SECONDS = "
            f"{timeout:g}, which one command to the channel layer may take: a process that waits for it is taken for "
            "dead.",
            f"Set FASTWS_PRESENCE_LEASE_SECONDS to more than {timeout:g}, or FASTWS_PUBLISH_TIMEOUT_SECONDS to less.",
        )


def _is_set(name: str) -> bool:
    return hasattr(settings, name)


def _contradiction(what: str, remedy: str) -> CheckMessage:
    return Warning(what, hint=remedy, id="fastws.W058")
