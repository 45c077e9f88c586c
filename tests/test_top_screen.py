"""The screen of ws_top: it fits the terminal, and what is wrong is on it."""

import time

import pytest

pytest.importorskip("rich")

from rich.console import Console

from django_fastws.console import ProcessRow, RoomRow, RouteRow, RowPage, Snapshot
from django_fastws.top_screen import top_screen, totals_line

_COUNTERS = ("received_messages", "received_bytes", "deliveries", "dropped_messages")


def process_row(number, at):
    return ProcessRow(
        name=f"web-{number}:400{number}:abcdef12",
        kind="server",
        host="web",
        pid=4000 + number,
        started=time.time() - 7300,
        is_draining=number == 1,
        can_drain=True,
        sockets=2500 + number,
        users=1200,
        rooms=300,
        routes=0,
        memory_bytes=123_000_000,
        cpu_seconds=at * 0.25,
        loop_delay=0.3 if number == 2 else 0.001,
        descriptors_open=2600,
        descriptors_limit=20_000,
        threads_busy=1,
        lag_seconds=0.012,
        versions={"django_fastws": "0.1.0"},
        sockets_by_route={"/chat/{room}": 2000, **{f"/route-{place}": 20 for place in range(25)}},
        counters=dict.fromkeys(_COUNTERS, at * 10.0),
    )


def snapshot(at, *, processes=4, rooms=60, routes=12, missing=0):
    states = ("connected", "failed", "waiting")
    return Snapshot(
        at,
        time.time(),
        RowPage([process_row(number, at) for number in range(processes)], missing=missing),
        RowPage([RoomRow(f"room-{number}" * 9, "", 900 - number, 4, False, False, False) for number in range(rooms)]),
        RowPage(
            [
                RouteRow(
                    "p", f"feed-{n:02}", "wss://feed.example.com", states[n % 3], 5.0, n, "1006: cut", 9, 9, 9, 9
                )
                for n in range(routes)
            ]
        ),
    )


def drawn(width, height, now=None, before=None, note=""):
    console = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)  # noqa: SIM115
    console.print(top_screen(now or snapshot(12.0), before or snapshot(10.0), width, height, note))
    console.file.close()
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (80, 40), (120, 30), (200, 60), (60, 24)])
@pytest.mark.parametrize("routes", [0, 1, 12])
@pytest.mark.parametrize("processes", [0, 1, 4, 40])
def test_it_fits_the_terminal(width, height, processes, routes):
    lines = drawn(width, height, snapshot(12.0, processes=processes, routes=routes, missing=1), note="q quit")
    assert len(lines) <= height
    assert max(len(line.rstrip()) for line in lines) <= width


def test_what_has_no_room_is_counted():
    lines = drawn(80, 24)
    assert len(lines) == 24
    assert any("more" in line for line in lines)
    whole = drawn(80, None)
    assert not any("more" in line for line in whole)
    assert sum("feed-" in line for line in whole) == 12


def test_what_is_wrong_comes_first():
    text = "\n".join(drawn(80, 24, snapshot(12.0, missing=2)))
    assert "2 processes did not answer in time" in text
    assert "draining" in text
    assert text.index("feed-01") < text.index("more", text.index("OUTBOUND"))
    assert "feed-00" not in text  # it is connected


def test_rates_and_shares_come_with_the_second_look():
    text = "\n".join(drawn(120, None))
    assert "received 40/s" in text
    assert "25%" in text
    console = Console(width=80, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(top_screen(snapshot(1.0), None, 80, None))
    console.file.close()
    assert "next look" in console.export_text()


def test_a_name_from_elsewhere_commands_no_terminal():
    now = snapshot(2.0, rooms=0)
    now.rooms.rows.append(RoomRow("\x1b[31mred", "", 1, 1, False, False, False))
    now.routes.rows.append(RouteRow("p", "a\x1b]0;title\x07", "", "failed", None, 0, "", 0, 0, 0, 0))
    assert not any("\x1b" in line or "\x07" in line for line in drawn(120, None, now))
    assert any("[31mred" in line for line in drawn(120, None, now))


def test_one_line_has_totals_rates_and_what_is_missing():
    line = totals_line(snapshot(12.0, missing=1), snapshot(10.0))
    assert "10,006 sockets" in line
    assert "received 40/s" in line
    assert "did not answer" in line
    assert "\n" not in line
