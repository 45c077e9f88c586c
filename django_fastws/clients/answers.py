"""Body of an HTTP answer: unpacked in pieces, and counted."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

__all__ = ["ENCODINGS", "AnswerTooBig", "unpack"]

#: What is asked for: what can be unpacked in pieces of a given size.
ENCODINGS = "gzip, deflate"
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_REFUSED = frozenset({"br", "zstd"})
_PIECE_BYTES = 64 * 1024


class AnswerTooBig(ValueError):
    """The body of an answer is over ``max_size``."""


def unpack(response: httpx2.Response, max_size: float | None) -> None:
    """Have the body of a response that was not read yet unpacked here, in pieces, and not by the library.

    The library unpacks whatever came at once, which may be a thousand times as much.

    Args:
        max_size: of the unpacked body, in bytes; reading more raises AnswerTooBig. None is no limit.
    """
    encodings = [name.strip().lower() for name in response.headers.get("content-encoding", "").split(",")]
    encodings = [name for name in encodings if name and name != "identity"]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _Unpacked(response.stream, encodings, max_size)
    if encodings:
        del response.headers["content-encoding"]


class _Unpacked(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, encodings: list[str], max_size: float | None) -> None:
        self._stream = stream
        self._encodings = encodings
        self._left = float("inf") if max_size is None else max_size
        self._max_size = max_size

    @property
    def elapsed(self) -> object:
        """What the library asks its own streams for."""
        return getattr(self._stream, "elapsed", None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        inflater: _Inflater | None = None
        async for data in self._stream:
            if inflater is None:
                inflater = self._inflater()
            for piece in inflater.feed(data):
                self._left -= len(piece)
                if self._left < 0:
                    raise AnswerTooBig(
                        f"the body has more than max_size={self._max_size} bytes: raise max_size=, or read it in "
                        "pieces with stream=True"
                    )
                yield piece

    def _inflater(self) -> _Inflater:
        if len(self._encodings) > 1 or _REFUSED.intersection(self._encodings):
            shown = ", ".join(self._encodings)[:100]
            raise httpx2.DecodingError(f"the body is packed as {shown!r}, and only {ENCODINGS} was asked for")
        return _Inflater(_WINDOWS.get(self._encodings[0]) if self._encodings else None)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Inflater:
    """Unpacks data in pieces of a bounded size.

    Args:
        window: as zlib takes it; None leaves the data as they are.
    """

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._inflate = None if window is None else zlib.decompressobj(window)
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces that more data come to."""
        if self._inflate is None:
            yield data
            return
        while True:
            piece = self._unpack(data)
            if piece:
                yield piece
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data.lstrip(b"\0")
                if not data or self._window == zlib.MAX_WBITS:
                    return
                self._inflate = zlib.decompressobj(self._window or 0)  # the next member of a gzip file
            elif not data and len(piece) < _PIECE_BYTES:
                return

    def _unpack(self, data: bytes) -> bytes:
        assert self._inflate is not None
        has_begun, self._has_begun = self._has_begun, True
        try:
            return self._inflate.decompress(data, _PIECE_BYTES)
        except zlib.error as error:
            if not has_begun and self._window == zlib.MAX_WBITS:
                # Some servers send "deflate" without zlib's header (RFC 9110 section 8.4.1.2).
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                return self._unpack(data)
            raise httpx2.DecodingError(f"the body cannot be unpacked: {error}") from error
