"""Rows as they come over the layer, where anybody may have sent them."""

from dataclasses import asdict

import pytest

from django_fastws.console import ProcessRow, RouteRow, SocketSearch
from django_fastws.console.received_rows import read_row

ROUTE = RouteRow("p", "feed", "wss://example.com", "connected", 5.0, 0, "", 1, 2, 3, 4)
PROCESS = ProcessRow(
    "p", "server", "h", 1, 2.0, False, True, 1, 1, 1, 0, None, 1.5, None, 5, None, 0, 0.1, {"a": "b"}, {"/": 1}, {}
)


@pytest.mark.parametrize(
    "row", [ROUTE, PROCESS, SocketSearch(text="x", ids=["a"])], ids=lambda row: type(row).__name__
)
def test_a_row_comes_as_it_was(row):
    assert read_row(type(row), asdict(row)) == row


def test_what_a_newer_release_says_besides_is_passed_over():
    assert read_row(RouteRow, {**asdict(ROUTE), "colour": "red"}) == ROUTE
    assert read_row(SocketSearch, {}) == SocketSearch()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (RouteRow, {"route": 5}),
        (RouteRow, {"since": "now"}),
        (RouteRow, {"since": float("inf")}),
        (RouteRow, {"attempts": None}),
        (ProcessRow, {"versions": []}),
        (ProcessRow, {"sockets_by_route": {"/": "many"}}),
    ],
)
def test_a_value_of_another_kind_is_no_row(kind, change):
    row = ROUTE if kind is RouteRow else PROCESS
    with pytest.raises((TypeError, ValueError)):
        read_row(kind, {**asdict(row), **change})


@pytest.mark.parametrize("data", [None, [], "row", {"route": "feed"}])
def test_what_is_no_row_is_none(data):
    with pytest.raises((TypeError, ValueError)):
        read_row(RouteRow, data)


def test_a_text_has_an_end():
    assert len(read_row(SocketSearch, {"text": "x" * 10_000}).text) == 2000
