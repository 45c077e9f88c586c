"""Template tags of live rooms: ``{% load fastws %}``."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import TemplateSyntaxError

from ..exceptions import HistoryUnavailable, WebSocketStateError
from ..rooms import Room, page_position

__all__ = ["register"]

register = template.Library()

_EXAMPLES = '{% room_position tickets pk=5 %}, or {% room_position "tickets/5" %}'


@register.simple_tag
def room_position(room: Any, **params: Any) -> str:
    """Position of a room's newest event, at which the page goes on.

        <section data-since="{% room_position tickets pk=5 %}">

    It must be read before what the page shows of the room: so it stands above that in the template, and no query is
    evaluated in the view. What happens in between is shown and comes as an event besides; the other way round it
    would be neither. It is safe in a quoted attribute.

    It is empty while the channel layer cannot be reached, and where the layer keeps no history: the page is rendered
    all the same, and its client gets the state.

    Args:
        room: a live room of the context, whose parameters follow by their names; or a ``Room``; or a name.
    Raises:
        TemplateSyntaxError: it is no room, or one without history; a parameter is wrong; or the thread runs an event
            loop, which would be blocked.
    """
    try:
        return page_position(_found(room, params))
    except HistoryUnavailable as error:
        raise TemplateSyntaxError(f"room_position: {error}") from error
    except WebSocketStateError as error:
        raise TemplateSyntaxError(
            "room_position: the template is rendered in a thread that runs an event loop, which asking for the "
            "position would block. In an async view, put `await room.aposition()` into the context and write that "
            "variable, or render with `await sync_to_async(render)(...)`"
        ) from error


def _found(room: Any, params: dict[str, Any]) -> Room:
    from ..live import LiveRoom  # with pydantic: Django imports all tags wherever it renders a template

    if isinstance(room, LiveRoom):
        try:
            return room(**params)
        except TypeError as error:
            raise TemplateSyntaxError(f"room_position: {error}") from error
    if params:
        raise TemplateSyntaxError(
            f"room_position: {', '.join(params)} are parameters of a live room, and {room!r} is none; "
            f"write {_EXAMPLES}, and have the room in the context"
        )
    if isinstance(room, Room):
        return room
    if isinstance(room, str) and room:
        return Room(room)
    raise TemplateSyntaxError(
        f"room_position: {room!r} is no room; write {_EXAMPLES}. Is the variable in the context of the template?"
    )
