"""Change list of the console: columns, search, filters, order and pages of rows that are in no database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from django.http import QueryDict
from django.utils.html import format_html

__all__ = ["Choice", "Column", "ConsoleQuery", "Filter", "Header", "RowCells", "column_headers", "row_cells"]

Row = TypeVar("Row")

_SEARCH, _WITHIN, _ORDER, _AFTER, _BEFORE, _WAIT = "q", "in", "o", "after", "before", "wait"
#: Pages that one can go back to; the address of a page has their cursors.
_MOST_BEFORE = 10
#: Characters of any parameter; nobody types more, and a cursor has less.
_MOST_CHARACTERS = 4000
_MOST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """Column of a change list.

    Attributes:
        label: above it.
        cell: of a row; text is escaped.
        order: by which rows can be put in order; "" for none.
        css: "num" for numbers, "wide" for what narrow screens leave out.
        greatest_first: the order that a first click gives.
    """

    label: str
    cell: Callable[[Row], Any]
    order: str = ""
    css: str = ""
    greatest_first: bool = False


class Header(NamedTuple):
    """Head of a column.

    Attributes:
        url: that puts the rows in order by it; "" where they cannot be.
        direction: "ascending" or "descending" if they are; else "".
    """

    label: str
    css: str
    url: str
    direction: str


class RowCells(NamedTuple):
    """Row of a change list as the template writes it: the key by which it is selected, and its cells."""

    key: str
    name: str
    cells: list[tuple[str, Any]]


class Choice(NamedTuple):
    """Choice of a filter."""

    display: Any
    url: str
    is_selected: bool


class Filter(NamedTuple):
    """Filter in the side bar."""

    title: str
    choices: list[Choice]


@dataclass(frozen=True, slots=True)
class ConsoleQuery:
    """Query string of a change list: what is searched, in which order, and which page.

    Attributes:
        filters: what is looked for, by the names of the filters; none is empty.
        order: "" for the order of those who answer.
        after: the cursor of the page; "" for the first.
        before: the cursors of the pages before, the nearest last.
        wait: seconds for the answers; 0 for as long as usual.
    """

    filters: Mapping[str, str] = field(default_factory=dict)
    order: str = ""
    after: str = ""
    before: tuple[str, ...] = ()
    wait: int = 0

    @classmethod
    def read(cls, data: QueryDict, names: Sequence[str], orders: Iterable[str] = ()) -> ConsoleQuery:
        """The query of a request; what makes no sense is left out.

        Args:
            data: of the request.
            names: of the filters, the first of which is that of a search without any; without names there is none.
            orders: that there are, without "-".
        """
        filters = {name: text for name in names if (text := data.get(name, "")[:_MOST_CHARACTERS])}
        if names and (search := data.get(_SEARCH, "").strip()[:_MOST_CHARACTERS]):
            within = data.get(_WITHIN, "")
            filters[within if within in names else names[0]] = search
        order = data.get(_ORDER, "")
        wait = data.get(_WAIT, "")
        return cls(
            filters,
            order if order.removeprefix("-") in orders else "",
            data.get(_AFTER, "")[:_MOST_CHARACTERS],
            tuple(one for one in data.getlist(_BEFORE)[-_MOST_BEFORE:] if len(one) <= _MOST_CHARACTERS),
            min(int(wait), _MOST_SECONDS) if wait.isascii() and wait.isdigit() and len(wait) < 3 else 0,
        )

    @property
    def is_first(self) -> bool:
        """Whether this is the first page."""
        return not self.after

    def url(self) -> str:
        """The query string, with its question mark."""
        data = QueryDict(mutable=True)
        data.update(self.filters)
        if self.order:
            data[_ORDER] = self.order
        if self.after:
            data.setlist(_BEFORE, list(self.before[-_MOST_BEFORE:]))
            data[_AFTER] = self.after
        if self.wait:
            data[_WAIT] = str(self.wait)
        return f"?{data.urlencode()}"

    def filtered(self, name: str, text: str) -> str:
        """The URL of what fits one more filter, or without it; from the first page on."""
        filters = {**self.filters, name: text}
        return ConsoleQuery({key: value for key, value in filters.items() if value}, self.order).url()

    def ordered(self, order: str) -> str:
        """The URL of the same in another order; from the first page on."""
        return ConsoleQuery(self.filters, order).url()

    def waiting(self, seconds: int) -> str:
        """The URL of the same page, with more time for the answers."""
        return ConsoleQuery(self.filters, self.order, self.after, self.before, seconds).url()

    def next(self, cursor: str) -> str:
        """The URL of the next page; "" where there is none."""
        if not cursor:
            return ""
        before = (*self.before, self.after)[-_MOST_BEFORE:]
        return ConsoleQuery(self.filters, self.order, cursor, before, self.wait).url()

    def previous(self) -> str:
        """The URL of the page before; "" where there is none."""
        if self.is_first:
            return ""
        *before, last = self.before or ("",)
        return ConsoleQuery(self.filters, self.order, last, tuple(before), self.wait).url()

    def first(self) -> str:
        """The URL of the first page; "" where this is it."""
        return "" if self.is_first else ConsoleQuery(self.filters, self.order, wait=self.wait).url()

    def choices(self, title: str, name: str, values: Iterable[tuple[str, Any]]) -> Filter:
        """A filter with a choice for each value, which has what stands for it.

        What is looked for and is none of them is one, too, so that it can be seen.
        """
        now = self.filters.get(name, "")
        given = list(values)
        if now and now not in dict(given):
            given.append((now, format_html("<bdi>{}</bdi>", now)))
        return Filter(
            title,
            [
                Choice("All", self.filtered(name, ""), not now),
                *(Choice(display, self.filtered(name, value), value == now) for value, display in given),
            ],
        )


def column_headers(columns: Iterable[Column[Any]], query: ConsoleQuery) -> list[Header]:
    """The heads of columns, with links that put the rows in order."""
    return [_header(column, query) for column in columns]


def _header(column: Column[Any], query: ConsoleQuery) -> Header:
    if not column.order:
        return Header(column.label, column.css, "", "")
    up, down = column.order, f"-{column.order}"
    direction = {up: "ascending", down: "descending"}.get(query.order, "")
    first, other = (down, up) if column.greatest_first else (up, down)
    return Header(column.label, column.css, query.ordered(other if query.order == first else first), direction)


def row_cells(
    columns: Sequence[Column[Row]], rows: Iterable[Row], named: Callable[[Row], tuple[str, str]]
) -> list[RowCells]:
    """The cells of rows; ``named`` gives the key of a row, and what a screen reader says to its checkbox."""
    return [RowCells(*named(row), [(column.css, column.cell(row)) for column in columns]) for row in rows]
