"""Latest: the declaration of a keyed room, of which the newest value of each key is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .rates import parse_rate

__all__ = ["Keyed", "Latest", "check_key"]

_LONGEST_SECONDS = 10 * 366 * 86_400
_LONGEST_KEY = 512  # characters


@dataclass(frozen=True, slots=True)
class Latest:
    """Keyed room: prices, cursors, positions on a map. Of each key, the newest value is kept, and nothing else.

    Args:
        rate: how often each process sends a key at most, such as "5/s"; the last value is always sent. None sends
            each as it comes.
        seconds: for how long a value is kept.
    Raises:
        TypeError, ValueError: one of them makes no sense.
    """

    rate: str | None = None
    seconds: float = 3600
    #: Seconds between two values of a key.
    interval: float = field(init=False, default=0.0, repr=False)

    def __post_init__(self) -> None:
        seconds = self.seconds
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise TypeError(f"Latest(seconds={seconds!r}): that is no number of seconds")
        if not 0 < seconds <= _LONGEST_SECONDS:
            raise ValueError(f"Latest(seconds={seconds!r}): it is over 0, and at most ten years")
        if self.rate is not None:
            rate = parse_rate(self.rate)
            if rate.burst != rate.count:
                raise ValueError(f"Latest(rate={self.rate!r}): a burst would be of values that nobody needs any more")
            object.__setattr__(self, "interval", rate.seconds / rate.count)


class Keyed(NamedTuple):
    """What makes a broadcast one of a keyed room.

    Attributes:
        key: whose newest value it is.
        is_removed: whether the key has no value any more.
        latest: how it is kept, so that the broker keeps it; None publishes only. It is not encoded.
    """

    key: str
    is_removed: bool
    latest: Latest | None


def check_key(key: object, call: str) -> None:
    """Check the key of a value.

    Args:
        call: what the caller called, for the text of the error.
    Raises:
        TypeError: it is no str.
        ValueError: it is empty or too long, or has no UTF-8.
    """
    if not isinstance(key, str):
        raise TypeError(f"{call}: a key is a str, not {type(key).__name__}")
    if not 0 < len(key) <= _LONGEST_KEY:
        raise ValueError(f"{call}: a key has between 1 and {_LONGEST_KEY} characters")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{call}: the key has no UTF-8: {error}") from None
