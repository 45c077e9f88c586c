"""System checks of live rooms: patterns, names and where they are served."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from ..conf import conf
from ..layer import get_broker
from ..routing import registry
from .registering import system_check

__all__ = ["check_live_rooms"]


@system_check
def check_live_rooms() -> Iterator[CheckMessage]:
    """E050: two patterns match one name. E051: two rooms of one name. W052: no path to them.

    W053: histories on a layer that keeps none. W056: keyed rooms there.
    """
    if not registry.rooms:
        return  # and pydantic is not imported
    from ..live import conflicts, live_rooms

    if conf.live_path is None:
        yield Warning(
            f"Live rooms are declared, as {live_rooms()[0].pattern!r} in {live_rooms()[0].place}, and no client can "
            "join them: FASTWS_LIVE_PATH is None.",
            hint="Leave FASTWS_LIVE_PATH out, or set it to a path such as '/ws/live'.",
            id="fastws.W052",
        )
    with_history = [room for room in live_rooms() if room.history is not None and not room.history.database]
    if with_history and (layer := _layer_without_history()):
        yield Warning(
            f"Live rooms have a history, as {with_history[0].pattern!r} in {with_history[0].place}, and the channel "
            f"layer {layer} keeps none: their broadcasts are not stored, and clients that come back get the state.",
            hint='Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
            '"CONFIG": {"hosts": ["redis://..."]}}}, or keep them in the database: History(database=True).',
            id="fastws.W053",
        )
    keyed = [room for room in live_rooms() if room.latest is not None]
    if keyed and (layer := _layer_without_history()):
        yield Warning(
            f"Live rooms are keyed, as {keyed[0].pattern!r} in {keyed[0].place}, and the channel layer {layer} keeps "
            "no values: members begin without any, and get what is broadcast from then on.",
            hint='Set CHANNEL_LAYERS = {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", '
            '"CONFIG": {"hosts": ["redis://..."]}}}.',
            id="fastws.W056",
        )
    for conflict in conflicts():
        yield Error(
            f"Two live rooms match {conflict.name!r}: {conflict.one.pattern!r} in {conflict.one.place} and "
            f"{conflict.other.pattern!r} in {conflict.other.place}.",
            hint="Begin one of the patterns with a word of its own, or name a narrower converter.",
            id="fastws.E050",
        )
    named = sorted((room for room in live_rooms() if room.is_named), key=lambda room: room.name)
    for name, group in groupby(named, key=lambda room: room.name):
        places = [room.place for room in group]
        if len(places) > 1:
            yield Error(
                f"Several live rooms are named {name!r}: {' and '.join(places)}.",
                hint="Give each a name of its own.",
                id="fastws.E051",
            )


def _layer_without_history() -> str:
    """The backend of a layer that keeps no history; empty for any other, and for one that cannot be made."""
    try:
        keeps = get_broker().has_history
    except Exception:  # whatever a layer's constructor raises; its first use tells
        return ""
    return "" if keeps else str(settings.CHANNEL_LAYERS["default"]["BACKEND"])
