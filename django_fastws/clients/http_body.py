"""Decompression of HTTP response bodies: in chunks of a bounded size, with a limit on their sum."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import httpx2

__all__ = ["ENCODINGS", "ResponseTooBig", "decompress"]

#: For Accept-Encoding: what can be decompressed in chunks of a given size.
ENCODINGS = "gzip, deflate"
_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}
_REFUSED = frozenset({"br", "zstd"})
_CHUNK_BYTES = 64 * 1024


class ResponseTooBig(ValueError):
    """The body of a response is over ``max_size``."""


def decompress(response: httpx2.Response, max_size: float | None) -> None:
    """Have a response body that was not read yet decompressed here, in chunks, and not by the library.

    The library decompresses whatever came at once, which may be a thousand times as much.

    Args:
        max_size: of the decompressed body, in bytes; reading more raises ResponseTooBig. None is no limit.
    """
    encodings = [name.strip().lower() for name in response.headers.get("content-encoding", "").split(",")]
    encodings = [name for name in encodings if name and name != "identity"]
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    response.stream = _DecompressedStream(response.stream, encodings, max_size)
    if encodings:
        del response.headers["content-encoding"]


class _DecompressedStream(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, encodings: list[str], max_size: float | None) -> None:
        self._stream = stream
        self._encodings = encodings
        self._left = float("inf") if max_size is None else max_size
        self._max_size = max_size

    @property
    def elapsed(self) -> object:
        """Duration of the request, as the library asks its own streams for it."""
        return getattr(self._stream, "elapsed", None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        inflater: _Inflater | None = None
        async for data in self._stream:
            if inflater is None:
                inflater = self._inflater()
            for chunk in inflater.feed(data):
                self._left -= len(chunk)
                if self._left < 0:
                    raise ResponseTooBig(
                        f"the body has more than max_size={self._max_size} bytes: raise max_size=, or read it in "
                        "chunks with stream=True"
                    )
                yield chunk

    def _inflater(self) -> _Inflater:
        if len(self._encodings) > 1 or _REFUSED.intersection(self._encodings):
            shown = ", ".join(self._encodings)[:100]
            raise httpx2.DecodingError(f"the body is compressed as {shown!r}, and only {ENCODINGS} was asked for")
        return _Inflater(_WINDOWS.get(self._encodings[0]) if self._encodings else None)

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Inflater:
    """Streaming decompressor with chunks of a bounded size.

    Args:
        window: as zlib takes it; None leaves the data as they are.
    """

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._inflate = None if window is None else zlib.decompressobj(window)
        self._has_begun = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decompress more data."""
        if self._inflate is None:
            yield data
            return
        while True:
            chunk = self._decompress(data)
            if chunk:
                yield chunk
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                data = self._inflate.unused_data.lstrip(b"\0")
                if not data or self._window == zlib.MAX_WBITS:
                    return
                self._inflate = zlib.decompressobj(self._window or 0)  # the next member of a gzip file
            elif not data and len(chunk) < _CHUNK_BYTES:
                return

    def _decompress(self, data: bytes) -> bytes:
        assert self._inflate is not None
        has_begun, self._has_begun = self._has_begun, True
        try:
            return self._inflate.decompress(data, _CHUNK_BYTES)
        except zlib.error as error:
            if not has_begun and self._window == zlib.MAX_WBITS:
                # Some servers send "deflate" without zlib's header (RFC 9110 section 8.4.1.2).
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
                return self._decompress(data)
            raise httpx2.DecodingError(f"the body cannot be decompressed: {error}") from error
