"""Frames that tell members who is present."""

from __future__ import annotations

import json

from django_fastws._core.presence_payloads import PresencePayload, count_part, diff_part, present_part
from django_fastws._core.presence_reports import PresentKey

ADA, BOB = PresentKey(b'{"name":"Ada"}', 2, 5.0), PresentKey(b"null", 1, 6.0)
KEY = '__proto__ "é"'


def test_all_who_are_present():
    payload = PresencePayload(b'"r\\"oom"', present_part({KEY: ADA, "": BOB}, 7), 7)
    assert json.loads(payload.raw) == {
        "room": 'r"oom',
        "present": {KEY: {"meta": {"name": "Ada"}, "connections": 2}, "": {"meta": None, "connections": 1}},
        "v": 7,
    }
    assert json.loads(b"{%b}" % present_part({}, 0)) == {"present": {}, "v": 0}


def test_what_has_changed():
    part = diff_part({KEY: ADA}, ["a", KEY], {"b": BOB}, 8)
    assert json.loads(b"{%b}" % part) == {
        "presence": {
            "joined": {KEY: {"meta": {"name": "Ada"}, "connections": 2}},
            "left": ["a", KEY],
            "changed": {"b": {"meta": None, "connections": 1}},
        },
        "v": 8,
    }


def test_how_many():
    assert json.loads(b"{%b}" % count_part(0)) == {"count": 0}


def test_it_need_not_wait_for_a_client_that_is_too_slow():
    payload = PresencePayload(b'"r"', count_part(1), 1)
    assert (payload.comes_again, payload.position, payload.is_volatile) == (True, None, False)
