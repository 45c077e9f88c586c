"""Query strings of the console's lists: filters, order, and the way from page to page and back."""

from __future__ import annotations

from django.http import QueryDict

from django_fastws.admin.change_list import Column, ConsoleQuery, column_headers, row_cells

NAMES = ("text", "user", "room")


def read(url, names=NAMES, orders=("opened", "user")):
    return ConsoleQuery.read(QueryDict(url.removeprefix("?")), names, orders)


def test_a_query_comes_back_from_its_url():
    query = ConsoleQuery({"user": "ada&b=c", "room": " größe/\u202e🙂 "}, "-opened", "cursor+/=", ("", "one"), 5)
    assert read(query.url()) == query


def test_a_search_is_within_what_was_chosen():
    assert read("q= ada &in=user").filters == {"user": "ada"}
    assert read("q=ada&in=nothing").filters == {"text": "ada"}
    assert read("q=bob&in=user&user=ada").filters == {"user": "bob"}
    assert read("q=").filters == {}


def test_a_list_without_a_search_has_none():
    assert read("q=ada&in=user&o=user", names=()) == ConsoleQuery(order="user")


def test_what_makes_no_sense_is_left_out():
    query = read("o=-secret&wait=99x&other=1")
    assert query == ConsoleQuery()
    assert read("wait=60").wait == 10
    assert read(f"after={'x' * 10_000}").url().count("x") == 4000


def test_pages_lead_to_the_next_and_back():
    first = read("user=ada")
    second = read(first.next("c2"))
    third = read(second.next("c3"))
    assert (first.previous(), first.first(), third.next("")) == ("", "", "")
    assert third.after == "c3"
    assert read(third.previous()) == second
    assert read(second.previous()) == first
    assert read(third.first()) == first


def test_the_way_back_is_bounded_and_leads_to_the_first_page():
    query = ConsoleQuery()
    for number in range(50):
        query = read(query.next(f"c{number}"))
    assert len(query.url()) < 300
    steps = 0
    while url := query.previous():
        query, steps = read(url), steps + 1
    assert query == ConsoleQuery()
    assert steps == 11


def test_another_filter_or_order_begins_at_the_first_page():
    query = ConsoleQuery({"user": "ada"}, "opened", "c2", ("",))
    assert read(query.filtered("room", "x")) == ConsoleQuery({"user": "ada", "room": "x"}, "opened")
    assert read(query.filtered("user", "")) == ConsoleQuery({}, "opened")
    assert read(query.ordered("-opened")) == ConsoleQuery({"user": "ada"}, "-opened")
    assert read(query.waiting(5)).after == "c2"


def test_a_column_is_put_in_order_one_way_and_then_the_other():
    columns = [
        Column("Age", str, "opened"),
        Column("Sent", str, "user", "num", greatest_first=True),
        Column("X", str),
    ]
    age, sent, plain = column_headers(columns, ConsoleQuery())
    assert (age.url, sent.url, plain.url) == ("?o=opened", "?o=-user", "")
    age, sent, plain = column_headers(columns, ConsoleQuery(order="opened"))
    assert (age.url, age.direction) == ("?o=-opened", "ascending")
    assert sent.direction == ""


def test_a_filter_shows_what_is_chosen_though_it_is_none_of_the_choices():
    choices = ConsoleQuery({"user": "<i>"}).choices("user", "user", [("ada", "Ada")]).choices
    assert [choice.is_selected for choice in choices] == [False, False, True]
    assert choices[-1].display == "<bdi>&lt;i&gt;</bdi>"
    assert read(choices[0].url).filters == {}


def test_rows_have_keys_and_cells():
    (row,) = row_cells([Column("One", lambda value: value + 1, css="num")], [1], lambda value: (f"k{value}", "name"))
    assert row == ("k1", "name", [("num", 2)])
