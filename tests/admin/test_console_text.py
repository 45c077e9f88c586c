"""Text of the console."""

from __future__ import annotations

import math

import pytest
from django.test import override_settings

from django_fastws.admin.console_text import age, clipped, counted, moment, name_text, pretty, printable, process_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\N{EN DASH}"),
        (-3, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3_600, "1 h"),
        (3_720, "1 h 2 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d"),
    ],
)
def test_an_age_has_its_two_greatest_units(seconds, text):
    assert age(seconds) == text


@override_settings(USE_TZ=True, TIME_ZONE="Asia/Tokyo")
def test_a_moment_is_in_the_zone_of_the_site():
    assert "9 a.m." in moment(0)


@pytest.mark.parametrize("seconds", [None, 1e20, math.inf, math.nan])
def test_what_is_no_time_is_none(seconds):
    assert moment(seconds) == "\N{EN DASH}"


def test_what_cannot_be_seen_is_written_as_an_escape():
    assert printable("a\n\u202eb\ud83d\0") == r"a\n\u202eb\ud83d\x00"
    assert printable("größe 👩\u200d🚀 می\u200cخواهم") == "größe 👩\u200d🚀 می\u200cخواهم"


def test_a_name_is_escaped_isolated_and_clipped():
    assert name_text("<b>") == '<bdi class="fw-name">&lt;b&gt;</bdi>'
    long = name_text("a" * 500 + "z", 30)
    assert long.count("a") < 530 + 20
    assert "…" in long
    assert long.endswith("z</bdi>")
    assert "empty" in name_text("")
    assert clipped("x" * 20, 20) == "x" * 20


def test_counts_have_their_nouns():
    assert (counted(1, "socket"), counted(2, "socket")) == ("1 socket", "2 sockets")
    assert counted(1234, "process", "processes") == "1,234 processes"


def test_json_is_shown_whatever_it_is():
    assert pretty({"a": "ä"}) == '{\n  "a": "ä"\n}'
    assert "more characters" in pretty("x" * 5000)
    assert pretty(float("nan")) == "NaN"
    assert pretty({1, 2}).startswith('"{')
    loop: list[object] = []
    loop.append(loop)
    assert pretty(loop)


def test_a_process_is_told_by_host_and_pid():
    text = process_text("web-1.internal.example:4711:0a1b2c3d")
    assert ">web-1:4711<" in text
    assert 'title="web-1.internal.example:4711:0a1b2c3d"' in text
    assert "&lt;" in process_text("<:>")
