"""Events of rooms, as live members get them."""

import json

import pytest

from django_fastws._core.frames import TEXT, frame
from django_fastws._core.room_events import EventPayload


@pytest.mark.parametrize(
    ("room", "event", "data", "author"),
    [
        ("lobby", "said", {"text": "hi"}, None),
        ('a "room" \u2713', "größe", [1, None, "\u2028"], None),
        ("", "", "", None),
        ("tickets/5", "typing", {}, "5"),
    ],
)
def test_the_frame_holds_the_room_the_event_and_the_data(room, event, data, author):
    payload = EventPayload(json.dumps(room).encode(), event, json.dumps(data).encode(), author)
    expected = {"room": room, "event": event, "data": data}
    if author is not None:
        expected["from"] = author
    assert json.loads(payload.raw) == json.loads(payload.text) == expected
    assert (payload.event, json.loads(payload.data), payload.binary) == (event, data, False)
    assert payload.frame == frame(TEXT, payload.raw)
