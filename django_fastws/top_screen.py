"""Screen of ``manage.py ws_top``: a snapshot as a table that fits a terminal, through rich.

The extra ``django-fastws[top]`` installs rich.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .console import ProcessRow, RouteRow, Snapshot, cpu_shares, totals_per_second

try:
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text
except ImportError as missing:
    raise ImproperlyConfigured(f"ws_top needs rich ({missing}): pip install 'django-fastws[top]'") from missing

__all__ = ["totals_line", "top_screen"]

_LEAST_ROWS = 3  # of a table, however low the terminal is
_WIDE, _WIDEST = 110, 140  # columns from which on there is more to see of each process
_SLOW_LOOP, _STUCK_LOOP = 0.05, 0.25  # seconds
_HEADER = "bold white on blue"
_STATES = {"connected": "green", "failed": "bold red", "done": "dim", "stopped": "dim"}


def top_screen(
    now: Snapshot, before: Snapshot | None, width: int, height: int | None, note: str = ""
) -> RenderableType:
    """The screen of a snapshot.

    Args:
        before: the one before, for the rates.
        width, height: of the terminal; None shows every row.
        note: at the right of the first line.
    """
    errors = [Text(_plain(line), "bold red", no_wrap=True, overflow="ellipsis") for line in now.errors]
    head: list[RenderableType] = [_title(now, width, note), *errors[:3], *_rates(now, before, width)]
    places = max(len(now.sockets_by_route), len(now.rooms.rows))
    processes, routes, places = _fits(
        len(now.processes.rows), len(now.routes.rows), places, None if height is None else height - len(head)
    )
    body: list[RenderableType] = ["", _processes(now, before, processes, width)]
    body += ["", _side_by_side(now, places, width)]
    if routes:
        body += ["", _outbound(now.routes.rows, routes, width)]
    return Group(*head, *body)


def totals_line(now: Snapshot, before: Snapshot | None) -> str:
    """A snapshot in one line, for a log."""
    rates = totals_per_second(now, before)
    shown = "" if rates is None else "".join(f", {label} {_rate(rates, name)}" for label, name, _ in _RATES)
    wrong = "".join(f"; {line}" for line in now.errors)
    return f"{time.strftime('%H:%M:%S', time.localtime(now.time))} {_totals(now)}{shown}{wrong}"


# The head

#: What is shown, the counters of messages, and of bytes.
_RATES = (
    ("received", "received_messages", "received_bytes"),
    ("sent", "sent_messages", "sent_bytes"),
    ("delivered", "deliveries", "delivered_bytes"),
    ("broadcasts", "broadcasts", ""),
    ("calls", "calls", ""),
    ("opened", "handshakes", ""),
    ("closed", "closes", ""),
    ("denied", "denials", ""),
    ("dropped", "dropped_messages", ""),
)


def _totals(now: Snapshot) -> str:
    parts = (
        (len(now.processes.rows), "process", "es"),
        (now.sockets, "socket", "s"),
        (now.users, "user", "s"),
        (now.rooms.total, "room", "s"),
    )
    return ", ".join(f"{count:,} {what}{'' if count == 1 else plural}" for count, what, plural in parts)


def _title(now: Snapshot, width: int, note: str) -> Text:
    left, clock = f" FastWS  {_totals(now)} ", time.strftime("%H:%M:%S ", time.localtime(now.time))
    right = f"{note}  {clock}" if len(left) + len(note) + len(clock) + 2 <= width else clock
    room = max(0, width - len(right))
    return Text(left.ljust(room)[:room] + right, "bold white on dark_green", no_wrap=True)


def _rates(now: Snapshot, before: Snapshot | None, width: int) -> list[RenderableType]:
    rates = totals_per_second(now, before)
    if rates is None:
        return [Text(" rates come with the next look", "dim")]
    cells = []
    for label, messages, size in _RATES:
        text = Text(f" {label} ", "dim")
        is_bad = label in ("denied", "dropped") and rates.get(messages, 0) > 0
        text.append(_rate(rates, messages), "bold red" if is_bad else "bold")
        if size:
            text.append(f" {_bytes(rates.get(size, 0.0))}/s", "cyan")
        cells.append(text)
    lines: list[Text] = [Text(no_wrap=True, overflow="ellipsis")]
    for cell in cells:
        if len(lines[-1]) + len(cell) > width:
            lines.append(Text(no_wrap=True, overflow="ellipsis"))
        lines[-1].append_text(cell)
    return list(lines)


def _rate(rates: dict[str, float], name: str) -> str:
    return f"{_short(rates.get(name, 0.0))}/s"


# The tables


def _fits(processes: int, routes: int, places: int, lines: int | None) -> tuple[int, int, int]:
    """How many rows each table gets, of the lines that are left for them, their headers and a line before each."""
    if lines is None:
        return processes, routes, places
    left = lines - 2 * (3 if routes else 2)
    shown = min(processes, max(_LEAST_ROWS, int(left * 0.35)))
    going_out = min(routes, max(_LEAST_ROWS, int(left * 0.25)))
    return shown, going_out, min(places, max(_LEAST_ROWS, left - shown - going_out))


def _table(width: int, *columns: tuple[str, bool]) -> Table:
    """A table; of each column, whether it is of numbers."""
    table = Table(box=None, expand=True, width=width, padding=(0, 1, 0, 1), header_style=_HEADER, pad_edge=False)
    for title, is_number in columns:
        table.add_column(
            title,
            justify="right" if is_number else "left",
            ratio=None if is_number else 1,
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _shown(rows: Sequence[Any], count: int) -> tuple[Sequence[Any], int]:
    """The rows that have room, and how many have not; of that, the last line tells."""
    if len(rows) <= count:
        return rows, 0
    return rows[: count - 1], len(rows) - count + 1


def _more(table: Table, left_out: int) -> None:
    if left_out:
        table.add_row(Text(f"… {left_out:,} more", "dim"))


def _processes(now: Snapshot, before: Snapshot | None, count: int, width: int) -> Table:
    cpu = cpu_shares(now, before)
    is_wide = width >= _WIDE
    columns: list[tuple[str, bool, Callable[[ProcessRow], Text | str]]] = [
        ("PROCESS", False, lambda row: row.name if width >= _WIDEST else row.name.rpartition(":")[0] or row.name),
        ("KIND", True, _kind),
        ("UP", True, lambda row: _duration(now.time - row.started)),
        ("SOCKETS", True, lambda row: f"{row.sockets:,}"),
        ("ROOMS", True, lambda row: f"{row.rooms:,}"),
        ("MEM", True, lambda row: "-" if row.memory_bytes is None else _bytes(row.memory_bytes)),
        ("CPU", True, lambda row: f"{cpu[row.name]:.0%}" if row.name in cpu else "-"),
        ("LOOP", True, _loop),
        ("LAG", True, lambda row: _milliseconds(row.lag_seconds)),
    ]
    if is_wide:
        columns[4:4] = [("USERS", True, lambda row: f"{row.users:,}")]
        columns += [
            ("THREADS", True, lambda row: f"{row.threads_busy}"),
            ("FILES", True, _files),
            ("VERSION", True, lambda row: row.versions.get("django_fastws", "")),
        ]
    table = _table(width, *((title, is_number) for title, is_number, _ in columns))
    rows, left_out = _shown(sorted(now.processes.rows, key=lambda row: (-row.sockets, row.name)), count)
    for row in rows:
        table.add_row(*(value(row) for _, _, value in columns))
    _more(table, left_out)
    return table


def _kind(row: ProcessRow) -> Text:
    return Text("draining", "yellow") if row.is_draining else Text(row.kind)


def _loop(row: ProcessRow) -> Text:
    delay = row.loop_delay
    if delay is None:
        return Text("-")
    style = "bold red" if delay >= _STUCK_LOOP else "yellow" if delay >= _SLOW_LOOP else ""
    return Text(_milliseconds(delay), style)


def _files(row: ProcessRow) -> Text:
    opened, limit = row.descriptors_open, row.descriptors_limit
    if opened is None:
        return Text("-")
    is_short = limit is not None and opened > 0.8 * limit
    return Text(f"{opened:,}" + (f"/{_short(limit)}" if limit is not None else ""), "bold red" if is_short else "")


def _side_by_side(now: Snapshot, count: int, width: int) -> Table:
    """Sockets by route, and the busiest rooms."""
    half = (width - 2) // 2
    by_route = _table(half, ("ROUTE", False), ("SOCKETS", True), ("SHARE", True))
    total = max(1, now.sockets)
    _fill(by_route, now.sockets_by_route, count, lambda item: (item[0], f"{item[1]:,}", f"{item[1] / total:.0%}"))
    rooms = _table(width - 2 - half, ("ROOM", False), ("MEMBERS", True), ("IN", True))
    _fill(rooms, now.rooms.rows, count, lambda row: (row.name, f"{row.members:,}", f"{row.processes}"))
    grid = Table.grid(padding=0)
    grid.add_column(width=half)
    grid.add_column(width=2)
    grid.add_column(width=width - 2 - half)
    grid.add_row(by_route, "", rooms)
    return grid


def _fill(table: Table, rows: Sequence[Any], count: int, cells: Callable[[Any], Iterable[str]]) -> None:
    shown, left_out = _shown(rows, count)
    for row in shown:
        table.add_row(*(Text(_plain(cell)) for cell in cells(row)))
    _more(table, left_out)


def _outbound(routes: Sequence[RouteRow], count: int, width: int) -> Table:
    columns = [("OUTBOUND ROUTE", False), ("STATE", True), ("UP", True), ("TRY", True), ("IN", True), ("OUT", True)]
    is_wide = width >= _WIDE
    table = _table(width, *columns, *([("URL", False), ("LAST ERROR", False)] if is_wide else []))
    # What is wrong comes first.
    shown, left_out = _shown(sorted(routes, key=lambda row: (row.state == "connected", row.route)), count)
    for row in shown:
        more = [Text(_plain(row.url), "dim"), Text(_plain(row.last_error), "red")] if is_wide else []
        table.add_row(
            Text(_plain(row.route)),
            Text(row.state, _STATES.get(row.state, "yellow")),
            "" if row.since is None else _duration(time.time() - row.since),
            f"{row.attempts}",
            _short(row.received_messages),
            _short(row.sent_messages),
            *more,
        )
    _more(table, left_out)
    return table


# Numbers


def _plain(text: str) -> str:
    """A text from elsewhere, such as the name of a room, without what a terminal takes for a command."""
    return "".join(one if one.isprintable() else "�" for one in text)


def _short(number: float) -> str:
    for limit, divisor, unit in ((1e4, 1, ""), (1e7, 1e3, "k"), (1e10, 1e6, "M")):
        if number < limit:
            value = number / divisor
            return f"{value:.1f}{unit}" if value < 10 and value != int(value) else f"{value:,.0f}{unit}"
    return f"{number / 1e9:,.0f}G"


def _bytes(number: float) -> str:
    for limit, divisor, unit in ((1e3, 1, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB")):
        if number < limit:
            return f"{number / divisor:.{1 if 0 < number / divisor < 10 and divisor > 1 else 0}f} {unit}"
    return f"{number / 1e9:,.1f} GB"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.0095 else f"{1000 * seconds:.1f} ms"


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    for limit, divisor, unit in ((120, 1, "s"), (7200, 60, "m"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.0f}{unit}"
    return f"{seconds / 86_400:,.0f}d"
