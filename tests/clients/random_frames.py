"""Frames and payloads of random messages, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from .peers import frame

__all__ = ["MAX_SIZE", "controls", "fragmented", "payloads", "pieces", "texts"]

MAX_SIZE = 80_000  # of a message, for the connections under test


def pieces(data: bytes, count: int) -> list[bytes]:
    size = max(1, -(-len(data) // count))
    return [data[start : start + size] for start in range(0, len(data), size)] or [b""]


def fragmented(opcode: int, data: bytes, count: int, between: bytes) -> bytes:
    parts = pieces(data, count)
    return b"".join(
        frame(part, opcode if number == 0 else 0, fin=number == len(parts) - 1) + between
        for number, part in enumerate(parts)
    )


payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"x" * size for size in (125, 126, 4094, 4096, 5000, 65_535, 65_536, MAX_SIZE, MAX_SIZE + 1)]),
)
texts = st.one_of(st.text(max_size=40).map(str.encode), payloads)
controls = st.builds(frame, st.binary(max_size=125), st.sampled_from([9, 10]))
