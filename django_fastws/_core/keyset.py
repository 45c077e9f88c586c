"""Keyset paging over several sources, each of which answers with a page of its own."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any, Generic, TypeVar

__all__ = ["KeyedRow", "MergedPage", "SourcePage", "merge_pages"]

Row = TypeVar("Row")

#: Key of a row: values that compare with those at the same place of any other.
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class KeyedRow(Generic[Row]):
    """Row with the key that it stands in order by."""

    key: Key
    row: Row


@dataclass(frozen=True, slots=True)
class SourcePage(Generic[Row]):
    """Page of one source.

    Attributes:
        rows: the first of those behind the cursor, in order; each key once.
        has_more: there are others behind these.
    """

    rows: Sequence[KeyedRow[Row]]
    has_more: bool


@dataclass(frozen=True, slots=True)
class MergedPage(Generic[Row]):
    """Page of all sources.

    Attributes:
        rows: the rows in order: those that share a key, of several sources, together.
        next: the key that the next page comes behind; None at the end.
    """

    rows: list[list[Row]]
    next: Key | None


def merge_pages(pages: Iterable[SourcePage[Row]], limit: int, *, reverse: bool = False) -> MergedPage[Row]:
    """Merge what several sources have given into one page.

    Of a source that has more, nothing is known behind its last row. So only what comes no later than the first of
    such last rows is on the page; the rest comes again on the next one.

    Args:
        limit: keys on the page, from 1. A source that gives as many, or all that it has, is never the reason for a
            page that is not full.
        reverse: the order is that of descending keys.
    """
    pages = list(pages)
    ends = [page.rows[-1].key for page in pages if page.has_more and page.rows]
    bound = (max(ends) if reverse else min(ends)) if ends else None
    key = attrgetter("key")
    rows: list[list[Row]] = []
    last: Key | None = None
    for found, group in groupby(heapq.merge(*(page.rows for page in pages), key=key, reverse=reverse), key):
        is_behind = bound is not None and (found < bound if reverse else found > bound)
        if is_behind or len(rows) >= limit:
            return MergedPage(rows, last)
        rows.append([keyed.row for keyed in group])
        last = found
    return MergedPage(rows, last if ends else None)
