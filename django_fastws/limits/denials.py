"""Denial of a handshake, as a value: the HTTP answer, and why. ``access.py`` and ``admission.py`` decide on it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ..transports import ASGITransport

__all__ = ["Denial", "deny_handshake"]


class Denial(NamedTuple):
    """Denial of a handshake: the HTTP answer, and why.

    Attributes:
        reason: the name of the limit or rule, or of the mistake, as metrics and statistics have it.
        status: of the answer.
        text: for the client.
        detail: for the log.
        retry_after: seconds after which it makes sense to try again; None if nobody knows.
    """

    reason: str
    status: int
    text: str
    detail: str = ""
    retry_after: float | None = None

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of the answer."""
        if self.status == 401:
            # RFC 9110 section 15.5.2 asks for a challenge. Of this one browsers know nothing, and ask nobody.
            return [(b"www-authenticate", b"Session")]
        if self.retry_after is not None:
            return [(b"retry-after", b"%d" % math.ceil(self.retry_after))]
        return []


async def deny_handshake(
    transport: ASGITransport, status: int, text: str, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Deny a handshake as soon as it has come."""
    event = await transport.receive()
    if event["type"] == "websocket.connect":
        await transport.deny(status, text, headers)
