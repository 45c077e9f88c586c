"""Agreeing on the compression of messages: permessage-deflate (RFC 7692), whose parameters autobahn reads."""

from __future__ import annotations

from typing import Any

from autobahn.websocket.compress import PERMESSAGE_COMPRESSION_EXTENSION, PerMessageDeflateOfferAccept

from ..conf import conf

__all__ = ["accept_offer", "usable_offers"]

_NAME = "permessage-deflate"

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

    What the server sends never refers to a message before it, which an answer may say unasked (RFC 7692 section
    7.1.1.1): so a broadcast is compressed once for all.

    Args:
        parameters: those of the first, as the client has written them.
        offers: as autobahn has parsed them.
    """
    offer = offers[0]
    offer.request_no_context_takeover = True
    limit = parameters.get("client_max_window_bits", [None])[0]
    return PerMessageDeflateOfferAccept(
        offer,
        request_no_context_takeover="client_no_context_takeover" in parameters or not conf.deflate_client_context,
        request_max_window_bits=0 if limit is None else _bits(limit),
        no_context_takeover=True,
        window_bits=_bits(offer.request_max_window_bits),
        mem_level=conf.deflate_memory_level,
    )


def _bits(limit: Any) -> int:
    """The bits of a window, with a limit of the client's; True is a parameter without a value, 0 is none."""
    most = conf.deflate_window_bits
    return most if limit is True or not limit else min(int(limit), most)
