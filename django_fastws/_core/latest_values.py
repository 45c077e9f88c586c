"""Values of a keyed room, as a broker reads them."""

from __future__ import annotations

from typing import NamedTuple

from .envelope import Envelope
from .positions import Position

__all__ = ["LatestValues"]


class LatestValues(NamedTuple):
    """Values of a keyed room, as they were at one moment.

    Attributes:
        position: of the newest change; each change has one more.
        values: by key.
    """

    position: Position
    values: dict[str, Envelope]
