"""W3C's traceparent: what is one, and what is none."""

from __future__ import annotations

import pytest

from django_fastws._core.traceparent import TraceParent, is_sampled, parse_traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_is_read_and_written():
    parsed = parse_traceparent(SAMPLED)
    assert parsed == TraceParent(int(TRACE, 16), int(SPAN, 16), 1)
    assert str(parsed) == SAMPLED
    assert str(TraceParent(1, 2, 0)) == f"00-{'0' * 31}1-{'0' * 15}2-00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        SAMPLED.upper(),
        f"{SAMPLED}-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0٣",
        f"{SAMPLED}\n",
    ],
)
def test_what_is_no_traceparent(text):
    assert parse_traceparent(text) is None
    assert not is_sampled(text)


def test_whether_it_is_sampled():
    assert is_sampled(SAMPLED)
    assert is_sampled(f"00-{TRACE}-{SPAN}-03")
    assert not is_sampled(f"00-{TRACE}-{SPAN}-00")
