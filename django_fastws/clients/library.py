"""Choice of the library that connects a route: websockets, or picows where the settings ask for it and it can."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from .._core.outbound_urls import mask_secrets
from ..conf import conf
from ..log_fields import outbound_fields
from ..routing import OutboundRoute
from .outcomes import PicowsUnsupported

picows: Any
try:
    from . import picows
except ImportError as error:
    picows, _missing = None, str(error)
else:
    _missing = ""

__all__ = ["LibraryChoice", "PicowsUnsupported", "obstacles", "picows"]

logger = logging.getLogger("django_fastws.clients")


def obstacles(routes: Iterable[OutboundRoute]) -> Iterator[str]:
    """Yield why FASTWS_CLIENT_LIBRARY cannot be used, as far as it is known before anything is connected."""
    if conf.client_library != "picows":
        return
    if picows is None:
        yield f"FASTWS_CLIENT_LIBRARY is 'picows', which cannot be imported: {_missing}"
        return
    for route in routes:
        if route.method is None and isinstance(route.options["proxy"], str):
            yield f"FASTWS_CLIENT_LIBRARY is 'picows', which connects through no proxy, and {route.place} has one"


class LibraryChoice:
    """Library of the connections of one route.

    Attributes:
        must_skip_picows: the next attempt is for websockets, whatever the URL.
    """

    def __init__(self, route: OutboundRoute) -> None:
        self.must_skip_picows = False
        self._route = route
        self._has_warned = False
        self._unsupported_url = ""

    def is_picows(self, url: str) -> bool:
        """Whether picows should try to connect to this URL."""
        must_skip, self.must_skip_picows = self.must_skip_picows, False
        return (
            conf.client_library == "picows" and picows is not None and not must_skip and url != self._unsupported_url
        )

    def fall_back(self, url: str, why: str) -> None:
        """Fall back to websockets for this URL, and warn once for the route."""
        self._unsupported_url = url
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Route %s is connected by websockets, not picows: %s",
                self._route.key,
                mask_secrets(why, url) or "no reason",
                extra=outbound_fields(self._route.key, url),
            )
