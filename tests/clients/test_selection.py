"""Which routes one process runs."""

from __future__ import annotations

import pytest

from django_fastws import FastWS
from django_fastws.clients.selection import RouteShard, SelectionError, parse_shard, select


async def quotes(ws): ...


async def trades(ws): ...


async def health(resp): ...


@pytest.fixture
def outbound(routes):
    """Three routes: quotes (market, slow), trades named "deals" (market), health (status)."""
    app = FastWS()
    app.ws("ws://127.0.0.1/quotes", tags=["market", "slow"])(quotes)
    app.ws("ws://127.0.0.1/trades", tags=["market"], name="deals")(trades)
    app.get("http://127.0.0.1/health", tags=["status"])(health)
    return app.outbound


@pytest.mark.parametrize(
    ("options", "selected"),
    [
        ({}, [quotes, trades, health]),
        ({"tags": ["market"]}, [quotes, trades]),
        ({"tags": ["status"]}, [health]),
        ({"tags": ["slow", "status"]}, [quotes, health]),
        ({"names": ["quotes"]}, [quotes]),
        ({"names": [f"{__name__}.quotes"]}, [quotes]),
        ({"names": ["deals"]}, [trades]),
        ({"names": [f"{__name__}.trades"]}, [trades]),
        ({"names": ["deals", "health"]}, [trades, health]),
        ({"tags": ["market"], "names": ["deals"]}, [trades]),
        ({"tags": ["status"], "names": ["deals"]}, []),
        ({"shard": RouteShard(1, 1)}, [quotes, trades, health]),
    ],
)
def test_select(outbound, options, selected):
    assert [route.handler for route in select(outbound, **options)] == selected


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tags": ["markt"]}, ["the tag 'markt'", "There are: market, slow, status."]),
        ({"tags": ["market", "b", "a"]}, ["the tag 'a'"]),
        ({"names": ["trades"]}, ["the route 'trades'", f"There are: deals, {__name__}.health, {__name__}.quotes."]),
        ({"names": [""]}, ["the route ''"]),
    ],
)
def test_what_is_unknown_is_refused_with_what_there_is(outbound, options, words):
    with pytest.raises(SelectionError) as refusal:
        select(outbound, **options)
    assert not [word for word in words if word not in str(refusal.value)]


def test_a_named_route_is_found_by_its_function_too_but_not_by_the_functions_bare_name(outbound):
    with pytest.raises(SelectionError):
        select(outbound, names=["trades"])
    assert select(outbound, names=[f"{__name__}.trades"])


def test_where_there_are_no_routes_the_error_says_none(routes):
    with pytest.raises(SelectionError, match="There are: none"):
        select([], tags=["market"])


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("1/1", RouteShard(1, 1)),
        ("2/3", RouteShard(2, 3)),
        ("3/3", RouteShard(3, 3)),
        ("0/3", RouteShard(0, 3)),
        ("010/20", RouteShard(10, 20)),
    ],
)
def test_parse_shard(text, shard):
    assert parse_shard(text) == shard


@pytest.mark.parametrize(
    "text", ["", "1", "/", "1/", "/2", "4/3", "1/0", "0/0", "-1/3", "1/-3", "a/b", "1/2/3", "1 / 2"]
)
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(SelectionError, match="is not I/N with I from 1 to N, such as 2/3"):
        parse_shard(text)


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("first", [0, 1])
def test_every_route_is_in_exactly_one_shard_counted_from_one_or_from_zero(routes, parts, first):
    app = FastWS()
    for number in range(40):
        app.ws(f"ws://127.0.0.1/{number}", name=f"feed {number}")(quotes)
    shards = [select(app.outbound, shard=RouteShard(number, parts)) for number in range(first, first + parts)]
    assert sorted(route.name for shard in shards for route in shard) == sorted(route.name for route in app.outbound)


def places(app, parts):
    """Of each route, the shard that it is in."""
    return [
        next(number for number in range(parts) if route in select(app.outbound, shard=RouteShard(number, parts)))
        for route in app.outbound
    ]


def test_a_shard_depends_on_the_name_alone(routes):
    one, two = FastWS(), FastWS()
    one.ws("ws://127.0.0.1/a", name="feed")(quotes)
    two.ws("ws://127.0.0.1/b", name="feed")(trades)
    assert places(one, 9) == places(two, 9)


def test_shards_are_of_similar_size(routes):
    app = FastWS()
    for number in range(300):
        app.ws(f"ws://127.0.0.1/{number}", name=f"feed {number}")(quotes)
    sizes = [len(select(app.outbound, shard=RouteShard(number, 3))) for number in (1, 2, 3)]
    assert min(sizes) > 60


def test_routes_of_one_function_without_names_are_split_by_their_urls(routes):
    app = FastWS()
    for number in range(300):
        app.ws(f"ws://127.0.0.1/{number}")(quotes)
    shards = [select(app.outbound, shard=RouteShard(number, 3)) for number in (1, 2, 3)]
    assert min(map(len, shards)) > 60
    assert sorted(route.url for shard in shards for route in shard) == sorted(route.url for route in app.outbound)


def test_their_order_does_not_matter(routes):
    one, two = FastWS(), FastWS()
    urls = [f"ws://127.0.0.1/{number}" for number in range(20)]
    for app, ordered in ((one, urls), (two, reversed(urls))):
        for url in ordered:
            app.ws(url)(quotes)
    assert places(one, 7) == places(two, 7)[::-1]


def test_routes_that_share_even_their_url_are_split_too(routes):
    app = FastWS()
    for _ in range(100):
        app.ws(lambda: "ws://127.0.0.1/")(quotes)
        app.ws("ws://127.0.0.1/")(quotes)
    sizes = [len(select(app.outbound, shard=RouteShard(number, 2))) for number in (1, 2)]
    assert sum(sizes) == 200
    assert min(sizes) > 60


def test_a_selection_by_tag_does_not_move_routes_to_other_shards(routes):
    app = FastWS()
    for number in range(50):
        app.ws("ws://127.0.0.1/", tags=["odd" if number % 2 else "even"])(quotes)
    in_all = select(app.outbound, shard=RouteShard(1, 3))
    by_tag = [route for tag in ("odd", "even") for route in select(app.outbound, tags=[tag], shard=RouteShard(1, 3))]
    assert set(by_tag) == set(in_all)
