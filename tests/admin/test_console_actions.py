"""Forms and reports of the console's actions."""

from __future__ import annotations

import pytest
from django.contrib import messages

from django_fastws.admin.console_actions import BroadcastForm, CloseForm, KickForm, result_report
from django_fastws.console import ActionResult


@pytest.mark.parametrize(
    ("code", "reason", "is_right"),
    [
        (1000, "", True),
        (1008, "no", True),
        (4404, "ä" * 61, True),
        (1006, "", False),
        (2999, "", False),
        (4000, "ä" * 62, False),
    ],
)
def test_a_close_is_what_a_close_frame_can_hold(code, reason, is_right):
    assert CloseForm({"code": code, "reason": reason}).is_valid() is is_right
    assert KickForm({"code": code, "reason": reason}).is_valid() is is_right


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [("json", '{"a": [1, null]}', {"a": [1, None]}), ("json", '"x"', "x"), ("text", ' {"a"\n', ' {"a"\n')],
)
def test_a_message_is_json_or_text(kind, text, value):
    form = BroadcastForm({"message": text, "kind": kind})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["value"] == value


@pytest.mark.parametrize("text", ["hello", "{", "NaN", "[1e", "[-1e999]", "[" * 100_000])
def test_what_is_no_json_is_said_at_the_field(text):
    form = BroadcastForm({"message": text, "kind": "json"})
    assert "no JSON" in str(form.errors["message"])


@pytest.mark.parametrize(
    ("result", "level", "is_logged", "word"),
    [
        (ActionResult(2, 3, 3), messages.SUCCESS, True, "2 of 2"),
        (ActionResult(1, 3, 3), messages.WARNING, True, "gone already"),
        (ActionResult(2, 3, 2, 1), messages.WARNING, True, "not known"),
        (ActionResult(0, 0, 0), messages.ERROR, False, "No process"),
        (ActionResult(0, 1, 1, 0, {"a": "b"}), messages.ERROR, False, "0 of 2"),
    ],
)
def test_a_report_says_what_was_really_done(result, level, is_logged, word):
    report = result_report(result, 2, "Closed", "socket", "Closed with 1008")
    assert (report.level, report.is_logged) == (level, is_logged)
    assert word in report.text
