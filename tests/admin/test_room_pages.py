"""Stored events of a room, and the page of the live tail."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import override_settings

from django_fastws import FastWS, HistoryUnavailable, Position, Room, Stored
from django_fastws.admin.room_tail import tail_name
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.routing.routes import registry

ROOM = "/admin/django_fastws/room/tickets_2F5"


@pytest.fixture
def history(monkeypatch):
    """A history of 120 events."""
    events = [
        Stored(Position("e", n), "said", {"text": f"<b>{n}"}, datetime(2026, 1, 1, tzinfo=UTC)) for n in range(120)
    ]

    def read(self, limit, *, before=None):
        if before == "other:1":
            raise HistoryUnavailable("the history has begun anew")
        if before == "nonsense":
            raise ValueError("that is no position")
        end = 120 if before is None else int(before.partition(":")[2])
        return events[max(0, end - limit) : end]

    monkeypatch.setattr(Room, "history", read)


def test_events_come_newest_first_page_by_page(root, history):
    first = root.get(f"{ROOM}/events/")
    body = first.content.decode()
    assert "&lt;b&gt;119" in body
    assert "<b>119" not in body
    second = root.get(first.context["older_url"])
    third = root.get(second.context["older_url"])
    assert [event["position"] for event in third.context["events"]][-1] == "e:0"
    assert third.context["older_url"] == ""


@pytest.mark.parametrize(("before", "text"), [("other:1", "begun anew"), ("nonsense", "no position")])
def test_a_position_that_is_none_is_said(root, history, before, text):
    assert text in root.get(f"{ROOM}/events/", {"before": before}).content.decode()


@pytest.mark.parametrize("error", [HistoryUnavailable("the room has no history"), WebSocketConnectionError("away")])
def test_a_history_that_cannot_be_read_is_said(root, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(Room, "history", fail)
    assert str(error) in root.get(f"{ROOM}/events/").content.decode()


def test_the_tail_has_its_room_and_the_path_of_the_live_socket(root):
    if not registry.rooms:
        FastWS().room("x/{y}")
    body = root.get(f"{ROOM}/tail/").content.decode()
    assert f'data-room="{tail_name("tickets/5")}"' in body
    assert 'data-live="/ws/live"' in body
    assert "console-tail.js" in body


@override_settings(FASTWS_LIVE_PATH=None)
def test_where_no_live_socket_is_served_the_page_says_so(root):
    body = root.get(f"{ROOM}/tail/").content.decode()
    assert "FASTWS_LIVE_PATH" in body
    assert "data-room" not in body
