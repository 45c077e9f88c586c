"""System checks of the channel layer and its Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qs, urlsplit

import redis
from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from ..layer import check_cluster, decode_hosts, evicting_policy
from ..routing import registry
from .registering import system_check

__all__ = ["check_channel_layer", "check_eviction"]

#: What RedisChannelLayer reads of its CONFIG.
_OPTIONS = (
    "hosts",
    "cluster",
    "prefix",
    "serializer_format",
    "sharded_pubsub",
    "symmetric_encryption_keys",
    "on_disconnect",
    "on_reconnect",
)
#: What layers of channels-redis have there besides, so that they can be replaced by it as they are.
_IGNORED = {"capacity", "channel_capacity", "expiry", "group_expiry", "random_prefix_length"}

_WAITING_SECONDS = 5  # channels_redis.core.RedisChannelLayer.brpop_timeout, and redis-py 8's default time limit


@system_check
def check_channel_layer() -> Iterator[CheckMessage]:
    """W006: rooms that end at the process. E035: hosts or a cluster that cannot be. W036: options that nobody reads.

    E007, W007: the core Redis layer with redis-py 8's defaults.
    """
    layer = (getattr(settings, "CHANNEL_LAYERS", None) or {}).get("default")
    backend = layer.get("BACKEND", "") if layer else None
    if not settings.DEBUG and backend in (None, "channels.layers.InMemoryChannelLayer"):
        yield Warning(
            "Rooms reach only their own process: CHANNEL_LAYERS has "
            + ("no default layer." if backend is None else "the in-memory layer."),
            hint='Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
            '"CONFIG": {"hosts": ["redis://..."]}}}.',
            id="fastws.W006",
        )
    if layer and backend == "django_fastws.layer.RedisChannelLayer":
        try:
            check_cluster(layer.get("CONFIG") or {})
            _check_hosts(layer)
        except ValueError as error:
            yield Error(
                f"The channel layer cannot be: {error}.",
                hint="Correct CONFIG of the default layer in CHANNEL_LAYERS.",
                id="fastws.E035",
            )
        yield from _unknown_options(layer)
    if backend == "channels_redis.core.RedisChannelLayer" and _redis_major() >= 8:
        unsafe = [host for host in _hosts(layer) if _is_cut_short(host)]
        if unsafe:
            yield _cut_short(is_fatal=_has_consumers())


def _unknown_options(layer: Any) -> Iterator[CheckMessage]:
    for name in sorted((layer.get("CONFIG") or {}).keys() - _IGNORED - {*_OPTIONS}, key=str):
        near = get_close_matches(str(name), _OPTIONS, 1)
        yield Warning(
            f"CONFIG of the channel layer has {name!r}, which RedisChannelLayer does not read.",
            hint=f"Is it {near[0]!r}?" if near else f"It reads {', '.join(_OPTIONS)}.",
            id="fastws.W036",
        )


def _has_consumers() -> bool:
    """Whether a route is a consumer class: its own reading of the layer fails, where that of our rooms goes on."""
    return any(route.signature is None for route in registry)


def _cut_short(*, is_fatal: bool) -> CheckMessage:
    what = (
        "The core Redis layer ends idle consumers with redis-py 8"
        if is_fatal
        else "The core Redis layer would end idle consumers of Channels with redis-py 8, and reads anew for our rooms"
    )
    return (Error if is_fatal else Warning)(
        f"{what}: its reads time out after 5 seconds, just when the layer's own waiting ends.",
        hint='Give every host "socket_timeout": None (and "max_connections"), or use '
        "django_fastws.layer.RedisChannelLayer.",
        id="fastws.E007" if is_fatal else "fastws.W007",
    )


def _redis_major() -> int:
    return int(str(redis.__version__).split(".", 1)[0])


def _hosts(layer: Any) -> list[dict[str, Any]]:
    try:
        return decode_hosts((layer.get("CONFIG") or {}).get("hosts"))
    except (AttributeError, ValueError):
        return []


def _check_hosts(layer: Any) -> None:
    if not isinstance(hosts := (layer.get("CONFIG") or {}).get("hosts"), (list, tuple, type(None))):
        decode_hosts(hosts)  # which says what is wrong


def _is_cut_short(host: dict[str, Any]) -> bool:
    """Whether redis-py's time limit for a read is not longer than the layer waits for a message."""
    in_url = parse_qs(urlsplit(str(host.get("address", ""))).query).get("socket_timeout")
    try:
        timeout = float(in_url[-1] if in_url else host.get("socket_timeout", _WAITING_SECONDS) or "inf")
    except (TypeError, ValueError):
        return False
    return timeout <= _WAITING_SECONDS


def check_eviction(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """E034: a Redis that may forget leases. It asks Redis, so only ``check --deploy`` runs it."""
    policy = evicting_policy() if any(route.lease for route in registry.outbound) else None
    if policy is None:
        return []
    return [
        Error(
            f"The Redis of the channel layer has maxmemory-policy {policy}: in want of memory it forgets leases, "
            "and two processes may run one outbound route.",
            hint="Set maxmemory-policy to noeviction, or use a Redis of its own for the channel layer.",
            id="fastws.E034",
        )
    ]
