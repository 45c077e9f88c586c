"""Sequence numbers of messages, and the detection of duplicates by sender and number."""

from __future__ import annotations

import uuid

__all__ = ["Sender", "Sequences"]

_DIGITS = 19  # of a number: more than any sender gets to
_LONGEST = 64  # characters of a sender's name, four times as many as ours have: it is kept


class Sender:
    """Sender of numbered envelopes: one connection.

    Attributes:
        name: that no other has.
        last: the number of its last envelope; the next one has one more.
    """

    __slots__ = ("last", "name")

    def __init__(self, name: str = "", last: int = 0) -> None:
        self.name = name or uuid.uuid4().hex[:16]
        self.last = last


class Sequences:
    """Detection of duplicates: the highest number that was seen of each sender.

    A sender numbers what it sends, and sends again what may have been lost, in order. So whatever is not higher than
    what came before is a repetition.

    Args:
        most: how many senders are remembered at least, and no more than twice as many. Of those beyond, the ones that
            are idle for longest are forgotten.

    >>> sequences = Sequences()
    >>> [sequences.is_next("ada", number) for number in ("1", "2", "2", "1", "4")]
    [True, True, False, False, True]
    """

    __slots__ = ("_most", "_older", "_recent")

    def __init__(self, most: int = 10_000) -> None:
        # Two generations: who is heard again moves into the first, and when that is full, the second is forgotten.
        # So an order of all senders need not be kept for every message.
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._most = most

    def is_next(self, sender: object, number: object) -> bool:
        """Whether this comes for the first time. What has no number always does.

        Raises:
            ValueError: the number is none, or the sender's name is longer than any sender's.
        """
        if not isinstance(sender, str) or not isinstance(number, str):
            return True
        if len(number) > _DIGITS or not (number.isascii() and number.isdigit()):
            raise ValueError(f"not the number of a message: {number[:40]!r}")
        recent, value = self._recent, int(number)
        last = recent.get(sender)
        if last is None:
            if len(sender) > _LONGEST:  # so it was never seen, nor will be
                raise ValueError(f"a sender's name of {len(sender)} characters")
            last = self._older.pop(sender, -1)
            if len(recent) >= self._most:
                self._older, self._recent = recent, {}
                recent = self._recent
        if value <= last:
            recent[sender] = last
            return False
        recent[sender] = value
        return True
