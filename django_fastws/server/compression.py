"""Compression of messages: permessage-deflate (RFC 7692), of which autobahn has the machinery."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.compress import PERMESSAGE_COMPRESSION_EXTENSION, PerMessageDeflateOfferAccept

__all__ = ["accept_offer", "usable_offers"]

_NAME = "permessage-deflate"
# 4 KiB each way and a third of the usual tables: some 20 KiB for each connection instead of 300.
_WINDOW_BITS = 12
_MEMORY_LEVEL = 5

Extension = tuple[str, dict[str, Any]]


def usable_offers(extensions: list[Extension]) -> list[Extension]:
    """The offers among a handshake's extensions that can be accepted.

    Others are declined, as RFC 7692 section 5.1 has it; autobahn would deny the handshake.
    """
    return [extension for extension in extensions if extension[0] == _NAME and _is_readable(extension)]


def _is_readable(extension: Extension) -> bool:
    try:
        PERMESSAGE_COMPRESSION_EXTENSION[_NAME]["Offer"].parse(extension[1])
    except Exception:  # autobahn raises nothing more specific
        return False
    return True


def accept_offer(parameters: dict[str, Any], offers: list[Any]) -> Any:
    """Make the answer to the first of the offers.

    Args:
        parameters: those of the first, as the client has written them.
        offers: as autobahn has parsed them.
    """
    offer = offers[0]
    limit = parameters.get("client_max_window_bits", [None])[0]
    return PerMessageDeflateOfferAccept(
        offer,
        request_max_window_bits=0 if limit is None else min(_bits(limit), _WINDOW_BITS),
        window_bits=min(_bits(offer.request_max_window_bits), _WINDOW_BITS),
        mem_level=_MEMORY_LEVEL,
    )


def _bits(limit: Any) -> int:
    """A limit for the window; the largest there is for a parameter without a value."""
    return _WINDOW_BITS if limit is True or not limit else int(limit)
