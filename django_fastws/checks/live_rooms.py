"""System checks of live rooms: patterns, names and where they are served."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from django.core.checks import CheckMessage, Error, Warning

from ..conf import conf
from ..routing import registry
from .registering import system_check

__all__ = ["check_live_rooms"]


@system_check
def check_live_rooms() -> Iterator[CheckMessage]:
    """E050: two patterns match one name. E051: two rooms of one name. W052: no path to them."""
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
