"""What the README says of the results: what somebody in front of a page feels, in sentences."""

from __future__ import annotations

from typing import Any

from .report import figure, wrapped
from .sizes import FULL

__all__ = ["headline"]

Row = dict[str, Any]


def headline(results: dict[str, Any]) -> str:
    """The paragraph of the README.

    Raises:
        ValueError: not even the rows that must be there were measured.
    """
    rows = {row["name"]: row for row in results["rows"]}
    if missing := [name for name in ("latency", "memory") if _median(rows.get(name), "ours") is None]:
        raise ValueError(f"the headline needs rows that were not measured: {', '.join(missing)}")
    sentences = [sentence(rows) for sentence in _SENTENCES]
    return wrapped(" ".join(filter(None, sentences)))


def _peer(row: Row | None, name: str) -> dict[str, Any]:
    return next((peer for peer in row["peers"] if peer["name"] == name), {}) if row else {}


def _median(row: Row | None, name: str) -> float | None:
    found: float | None = _peer(row, name).get("median")
    return found


def _versus(rows: dict[str, Row], name: str, peer: str = "Channels") -> tuple[str, str] | None:
    """The figures of the subject of a row and of a peer, in words; None if one of them is not there."""
    row = rows.get(name)
    here, there = (_median(row, who) for who in (row["subject"] if row else "", peer))
    return None if row is None or here is None or there is None else (figure(here, row), figure(there, row))


def _one_broadcast(rows: dict[str, Row]) -> str:
    found = _versus(rows, "latency")
    if found is None:
        return ""
    return (
        f"One broadcast to a room of {FULL.members:,} has reached the last of them after **{found[0]} ms** on stock "
        f"daphne, with Channels after {found[1]} ms."
    )


def _paced(rows: dict[str, Row]) -> str:
    row = rows.get("fanout-paced")
    here = _peer(row, row["subject"]) if row else {}
    if "p99" not in here:
        return ""
    return (
        f"At a steady pace, half of what is said there arrives within {here['p50']['median']:.1f} ms, and 99 of 100 "
        f"within {here['p99']['median']:.1f} ms."
    )


def _echo(rows: dict[str, Row]) -> str:
    here, there = (_peer(rows.get("echo-latency"), name) for name in ("ours on uvicorn", "Channels on uvicorn"))
    if "p99" in here and "p99" in there:
        return (
            f"While a uvicorn has half of what it can take, an answer is there after {here['p50']['median']:.2f} ms, "
            f"and 99 of 100 after {here['p99']['median']:.2f} ms; with Channels, which can take less, after "
            f"{there['p50']['median']:.2f} and {there['p99']['median']:.2f} ms."
        )
    found = _versus(rows, "echo-daphne")
    return (
        f"Of small JSON messages, {found[0]} a second come back on one core, with Channels {found[1]}."
        if found
        else ""
    )


def _handshakes(rows: dict[str, Row]) -> str:
    told = [
        f"{found[0]} on {server} (with Channels {found[1]})"
        for server in ("runws_server", "uvicorn")
        if (found := _versus(rows, f"handshakes-user-{server.partition('_')[0]}"))
    ]
    return f"Handshakes with a session and a user, in a second: {', '.join(told)}." if told else ""


def _pauses(rows: dict[str, Row]) -> str:
    row = rows.get("stall-connect")
    longest = _median(row, row["subject"]) if row else None
    if row is None or longest is None:
        return ""
    return (
        f"While thousands connect, the event loop of {row['subject']} pauses for {figure(longest, row)} ms at most."
    )


def _memory(rows: dict[str, Row]) -> str:
    found = _versus(rows, "memory")
    return f"An idle socket takes {found[0]} kB, with Channels {found[1]}." if found else ""


_SENTENCES = (_one_broadcast, _paced, _echo, _handshakes, _pauses, _memory)
