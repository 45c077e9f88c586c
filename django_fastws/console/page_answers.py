"""Answers of the processes to the console: what is on their pages, who has failed, and cursors."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any, TypeVar

from .._core.keyset import KeyedRow, SourcePage
from ..processes import Answer, Survey
from .asked import MOST_ROWS
from .rows import ActionResult, RowPage

__all__ = ["Answers", "decode_cursor", "encode_cursor", "limit_of", "source_page"]

T = TypeVar("T")
Row = TypeVar("Row")

_LONGEST_CURSOR = 10_000


class Answers:
    """Answers of the processes to one question. One that makes no sense is the error of its process.

    Args:
        survey: the answers.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._errors = {answer.process: answer.error for answer in survey.answers.values() if answer.error}

    def each(self, read: Callable[[Answer], T]) -> list[T]:
        """What a function reads from each answer that is no error."""
        found = []
        for answer in self._survey.answers.values():
            if answer.process in self._errors:
                continue
            try:
                found.append(read(answer))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                self._errors[answer.process] = (
                    f"its answer makes no sense: {type(error).__name__}: {str(error)[:200]}"
                )
        return found

    @property
    def _counts(self) -> dict[str, Any]:
        answered, missing = len(self._survey.answers), self._survey.missing
        return {
            "asked": answered + missing,
            "answered": answered,
            "missing": missing,
            "errors": dict(sorted(self._errors.items())),
        }

    def page(self, rows: list[Row], *, next: str = "", total: int = 0) -> RowPage[Row]:
        """A page with these rows."""
        processes = sorted(self._survey.answers.keys() - self._errors.keys())
        return RowPage(rows, next=next, total=total, processes=processes, **self._counts)

    def result(self) -> ActionResult:
        """The result of an action: the sum of what was done."""
        done = sum(self.each(lambda answer: int(answer.data["done"])))
        return ActionResult(done=done, **self._counts)


def source_page(rows: list[KeyedRow[Row]], data: dict[str, Any]) -> SourcePage[Row]:
    """The page of one process.

    Raises:
        ValueError: it would have no end.
    """
    if data["more"] is True and not rows:
        raise ValueError("there are more rows, and none is here")
    return SourcePage(rows, data["more"] is True)


def encode_cursor(key: tuple[Any, ...] | None) -> str:
    """The text of a cursor; "" for None."""
    return "" if key is None else base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_cursor(text: str) -> list[Any] | None:
    """The key in the text of a cursor; None for "".

    Raises:
        ValueError: it is no cursor.
    """
    if not text:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text[:_LONGEST_CURSOR] + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    if not isinstance(key, list):
        raise ValueError(f"after={text[:100]!r} is no cursor: pass `next` of a page, as it is")
    return key


def limit_of(limit: int) -> int:
    """A limit, checked.

    Raises:
        ValueError: it is none.
    """
    if type(limit) is not int or not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"limit={limit!r}: a page has 1 to {MOST_ROWS} rows")
    return limit
