"""Statistics for people: what is added up, and how it is shown."""

from __future__ import annotations

import json

from django_fastws._core.instruments import Counter, Gauge, Histogram
from django_fastws._core.stats_text import added, readings_of, stats_text

SOCKETS = Gauge("connections", "connections", ("route", "transport"), "Open.")
SENT = Counter("sent_bytes", "bytes", (), "Sent.")
CALLS = Counter("calls", "calls", ("room", "event"), "Calls.")
TOOK = Histogram("call_seconds", "seconds", (), "Took.", bounds=(0.01, 0.1, 1))
TABLE = [SOCKETS, SENT, CALLS, TOOK]


def reading(sockets=2, sent=1500, calls=3, took=(0.005, 0.05, 5)):
    for metric in TABLE:
        metric.reset()
    SOCKETS.add(sockets, "/ws/{room}", "daphne")
    SENT.add(sent)
    CALLS.add(calls, "t/{pk}", "say")
    CALLS.add(1, "", "")
    for seconds in took:
        TOOK.observe(seconds)
    return json.loads(json.dumps(readings_of(TABLE)))


def test_one_process():
    assert stats_text(TABLE, added([reading()])).splitlines() == [
        "connections{route=/ws/{room}, transport=daphne}  2",
        "sent_bytes                                       1,500 B",
        "calls{room=t/{pk}, event=say}                    3",
        "calls{room=-, event=-}                           1",
        "call_seconds                                     3; mean 1.7 s, half up to 0.1 s, 99 % over 1 s",
    ]


def test_several_processes_are_added_up():
    found = added([reading(), reading(sockets=5), {}])
    assert found["connections"] == {("/ws/{room}", "daphne"): 7}
    assert found["sent_bytes"] == {(): 3000}
    assert (found["call_seconds"][()].counts, found["call_seconds"][()].count) == ([2, 2, 0, 2], 6)


def test_what_another_version_measures_in_other_buckets_is_left_out():
    other = {"call_seconds": [[[], [[1, 1], 2.0]]], "unknown": [[["x"], 5]]}
    found = added([reading(), other])
    assert found["call_seconds"][()].counts == [1, 1, 0, 1]
    assert "unknown" not in stats_text(TABLE, found)


def test_between_two_readings_there_are_rates():
    before, now = added([reading()]), added([reading(sent=2500, calls=13, took=(0.005, 0.05, 5, 0.005, 0.005))])
    text = stats_text(TABLE, now, before, 2.0)
    assert "2,500 B, 500.0/s" in text
    assert "13, 5.0/s" in text
    assert "2, 1.0/s; mean 0.005 s, half up to 0.01 s, 99 % up to 0.01 s" in text
    assert stats_text(TABLE, before, before, 2.0).count("call_seconds") == 0


def test_a_process_that_has_started_anew_has_what_it_has():
    text = stats_text(TABLE, added([reading(took=(0.005,))]), added([reading()]), 1.0)
    assert "1, 1.0/s; mean 0.005 s" in text


def test_of_many_the_largest_are_shown():
    CALLS.reset()
    for number in range(40):
        CALLS.add(number + 1, "t/{pk}", f"event-{number}")
    lines = stats_text([CALLS], added([readings_of([CALLS])])).splitlines()
    assert len(lines) == 16
    assert lines[0].endswith("40")
    assert lines[-1].endswith("and 25 more")
    assert stats_text([], {}) == ""
