"""Snapshots of all processes, and the rates between two."""

from dataclasses import replace

from django_fastws.console import ProcessRow, RowPage, Snapshot, read_snapshot
from django_fastws.console.snapshot import cpu_shares, totals_per_second

_FACTS = ("server", "h", 1, 2.0, False, True, 3, 2, 1, 0, None)


def process_row(name, cpu=None, **counters):
    return ProcessRow(
        name,
        *_FACTS,
        cpu,
        None,
        None,
        None,
        0,
        0.1,
        {},
        {"/a": 2, "/b": 1},
        {key: float(n) for key, n in counters.items()},
    )


def snapshot(at, *rows, **counts):
    return Snapshot(at, 1000.0 + at, RowPage(list(rows), **counts), RowPage([]), RowPage([]))


def test_rates_are_those_of_processes_that_are_in_both():
    before = snapshot(10.0, process_row("a", calls=5, joins=1), process_row("gone", calls=100))
    now = snapshot(12.0, process_row("a", calls=9), process_row("new", calls=50))
    assert totals_per_second(now, before) == {"calls": 2.0}
    assert totals_per_second(now, None) is None
    assert totals_per_second(now, now) is None


def test_a_counter_that_began_anew_has_no_negative_rate():
    assert totals_per_second(snapshot(2.0, process_row("a", calls=1)), snapshot(1.0, process_row("a", calls=9))) == {
        "calls": 0.0
    }


def test_the_share_of_a_processor_is_known_where_the_system_tells():
    before = snapshot(10.0, process_row("a", 3.0), process_row("b"))
    now = snapshot(14.0, process_row("a", 5.0), process_row("b", 1.0), process_row("c", 1.0))
    assert cpu_shares(now, before) == {"a": 0.5}
    assert cpu_shares(now, None) == {}


def test_totals_are_over_all_processes_and_what_is_missing_is_said():
    now = snapshot(1.0, process_row("a"), process_row("b"), missing=1, errors={"c": "it has failed"})
    assert (now.sockets, now.users) == (6, 4)
    assert now.sockets_by_route == [("/a", 4), ("/b", 2)]
    assert len(now.errors) == 2
    assert "did not answer" in now.errors[0]
    assert replace(now, processes=RowPage([])).errors == []


async def test_a_snapshot_is_of_all_there_is(processes):
    one, _ = processes(2)
    one.open("/chat/{room}", rooms=["a"])
    now = await read_snapshot(seconds=10.0)
    assert len(now.processes.rows) == 2
    assert now.sockets_by_route == [("/chat/{room}", 1)]
    assert [(row.name, row.members) for row in now.rooms.rows] == [("a", 1)]
    assert now.routes.rows == []
