"""Which library connects a route: websockets, or picows where the settings wish it and it can."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from .._core.urls import mask_in
from ..conf import conf
from ..routing import OutboundRoute
from .outcomes import Unsuited

picows: Any
try:
    from . import picows
except ImportError as error:
    picows, _missing = None, str(error)
else:
    _missing = ""

__all__ = ["Choice", "Unsuited", "obstacles", "picows"]

logger = logging.getLogger("django_fastws.clients")


def obstacles(routes: Iterable[OutboundRoute]) -> Iterator[str]:
    """Why FASTWS_CLIENT_LIBRARY cannot be had, as far as it can be told before anything is connected."""
    if conf.client_library != "picows":
        return
    if picows is None:
        yield f"FASTWS_CLIENT_LIBRARY is 'picows', which cannot be imported: {_missing}"
        return
    for route in routes:
        if route.method is None and isinstance(route.options["proxy"], str):
            yield f"FASTWS_CLIENT_LIBRARY is 'picows', which connects through no proxy, and {route.place} has one"


class Choice:
    """The library for the connections of one route.

    Attributes:
        is_doubtful: the next attempt is for websockets, whatever the URL.
    """

    def __init__(self, route: OutboundRoute) -> None:
        self.is_doubtful = False
        self._route = route
        self._is_told = False
        self._unsuited_url = ""

    def is_picows(self, url: str) -> bool:
        """Whether picows should try to connect to this URL."""
        is_doubtful, self.is_doubtful = self.is_doubtful, False
        return (
            conf.client_library == "picows" and picows is not None and not is_doubtful and url != self._unsuited_url
        )

    def leave_to_websockets(self, url: str, why: str) -> None:
        """From now on picows does not connect to this URL; say so, once for the route."""
        self._unsuited_url = url
        if not self._is_told:
            self._is_told = True
            logger.warning(
                "Route %s is connected by websockets, not picows: %s",
                self._route.key,
                mask_in(why, url) or "no reason",
            )
