"""Pages that are merged of several sources: every row once, in order, however the rows are spread."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.keyset import KeyedRow, SourcePage, merge_pages

KEYS = st.tuples(st.integers(0, 5) | st.floats(0, 5), st.integers(0, 1000))


def source_page(keys, cursor, limit, reverse):
    """What a source with these keys gives."""
    left = [
        key for key in sorted(keys, reverse=reverse) if cursor is None or (key < cursor if reverse else key > cursor)
    ]
    return SourcePage([KeyedRow(key, key) for key in left[:limit]], len(left) > limit)


def walk(sources, limit, reverse):
    """All pages, one after the other."""
    cursor, pages = None, []
    while True:
        merged = merge_pages([source_page(keys, cursor, limit, reverse) for keys in sources], limit, reverse=reverse)
        pages.append(merged.rows)
        cursor = merged.next
        if cursor is None:
            return pages


@given(st.lists(st.sets(KEYS, max_size=40), max_size=6), st.integers(1, 15), st.booleans())
def test_every_key_comes_once_and_in_order_whatever_the_sources(sources, limit, reverse):
    pages = walk(sources, limit, reverse)
    keys = [rows[0] for page in pages for rows in page]
    assert keys == sorted(set().union(*sources), reverse=reverse)
    assert all(len(page) == limit for page in pages[:-1])


@given(st.lists(st.sets(st.text(max_size=2).map(lambda text: (text,)), max_size=20), max_size=5), st.integers(1, 7))
def test_rows_that_share_a_key_are_together(sources, limit):
    groups = [rows for page in walk(sources, limit, reverse=False) for rows in page]
    assert sum(map(len, groups)) == sum(map(len, sources))
    assert all(len(set(rows)) == 1 for rows in groups)


def test_nothing_is_one_empty_page():
    assert merge_pages([], 10) == merge_pages([SourcePage([], has_more=False)], 10)
    assert merge_pages([], 10).next is None


def test_a_row_behind_the_last_of_a_source_that_has_more_waits():
    full = SourcePage([KeyedRow((1,), "a"), KeyedRow((4,), "d")], has_more=True)
    short = SourcePage([KeyedRow((3,), "c"), KeyedRow((9,), "z")], has_more=False)
    merged = merge_pages([full, short], 10)
    assert merged.rows == [["a"], ["c"], ["d"]]
    assert merged.next == (4,)
