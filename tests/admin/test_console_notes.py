"""Notes above what is shown: how whole it is, and what to do. What pages say of them is in test_console_admin.py."""

from __future__ import annotations

import pytest

from django_fastws.admin.console_notes import answers_note
from django_fastws.console import RowPage


@pytest.mark.parametrize(
    ("page", "level", "words"),
    [
        (RowPage([], asked=2, answered=2), "quiet", "2 processes have answered"),
        (RowPage([], asked=3, answered=2, missing=1), "warning", "1 process has not answered within 1.5 s"),
        (RowPage([], asked=1, answered=1, errors={"web-1": "broken"}), "warning", "a process could not answer"),
        (RowPage([], asked=0, answered=0), "error", "No process has answered within 1.5 s"),
    ],
)
def test_it_says_how_whole_an_answer_is(page, level, words):
    note = answers_note(page, 1.5)
    assert note["level"] == level
    assert words in note["text"]


def test_ten_errors_are_said_and_no_more():
    errors = {f"web-{number}": "broken" for number in range(30)}
    assert len(answers_note(RowPage([], asked=1, answered=1, errors=errors), 1)["more"]) == 10
