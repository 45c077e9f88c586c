"""What is asked for a page or an action, read from what came over the channel layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..processes import InvalidQuestion

__all__ = ["MOST_IDS", "MOST_ROWS", "checked_ids", "ids_in", "page_limit"]

MOST_ROWS = 500  # of one page
MOST_IDS = 10_000  # of one action


def page_limit(arguments: Any) -> int:
    """How many rows are wanted.

    Raises:
        InvalidQuestion: that is no number of rows.
    """
    limit = arguments.get("limit") if isinstance(arguments, dict) else None
    if type(limit) is not int or not 1 <= limit <= MOST_ROWS:
        raise InvalidQuestion(f"a page has 1 to {MOST_ROWS} rows")
    return limit


def ids_in(values: Any) -> list[str]:
    """The ids of sockets, each once.

    Raises:
        ValueError: that is no list of ids, or there are too many.
    """
    if not isinstance(values, list) or len(values) > MOST_IDS or not all(isinstance(value, str) for value in values):
        raise ValueError(f"ids are a list of at most {MOST_IDS} texts")
    return list(dict.fromkeys(values))


def checked_ids(ids: Iterable[str]) -> list[str]:
    """The ids of an action, as a list.

    Raises:
        TypeError, ValueError: they are a text, or none of them can be ids, or there are too many.
    """
    if isinstance(ids, str):
        raise TypeError("ids are several texts, not one")
    return ids_in(list(ids))
