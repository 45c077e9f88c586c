"""W3C's traceparent: the identity of a span in 55 characters, as envelopes carry it between processes."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["TraceParent", "is_sampled", "parse_traceparent"]

_VERSION_00 = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_SAMPLED = 0x01


class TraceParent(NamedTuple):
    """Identity of a span (W3C Trace Context, section 3.2).

    Attributes:
        trace_id, span_id: neither is 0.
        flags: of which the lowest bit says that it is sampled.
    """

    trace_id: int
    span_id: int
    flags: int

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"


def parse_traceparent(text: str) -> TraceParent | None:
    """Parse a traceparent of version 00; None for what is none."""
    found = _VERSION_00.fullmatch(text)
    if found is None:
        return None
    parsed = TraceParent(*(int(part, 16) for part in found.groups()))
    return parsed if parsed.trace_id and parsed.span_id else None


def is_sampled(text: str) -> bool:
    """Whether a text is the traceparent of a span that is sampled."""
    parsed = parse_traceparent(text)
    return parsed is not None and bool(parsed.flags & _SAMPLED)
