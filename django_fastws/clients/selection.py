"""Selection of the outbound routes that a process runs: by tag, by name, and by shard."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..routing import OutboundRoute

__all__ = ["SelectionError", "RouteShard", "parse_shard", "select"]


class SelectionError(Exception):
    """A tag, name or shard that selects nothing; the text says what there is."""


class RouteShard(NamedTuple):
    """Shard of the routes: one of several parts into which they are split by a hash of their names."""

    number: int
    parts: int

    def has(self, name: str) -> bool:
        """Whether the route that is so called belongs to this part; every route belongs to exactly one."""
        return zlib.crc32(name.encode()) % self.parts == self.number % self.parts


def parse_shard(text: str) -> RouteShard:
    """Read ``I/N``, with I from 1 to N. (0 is another way to write N, for who counts from zero.)

    Raises:
        SelectionError: it is something else.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or int(match[2]) < 1 or int(match[1]) > int(match[2]):
        raise SelectionError(f"--shard {text} is not I/N with I from 1 to N, such as 2/3")
    return RouteShard(int(match[1]), int(match[2]))


def select(
    routes: Sequence[OutboundRoute],
    tags: Iterable[str] = (),
    names: Iterable[str] = (),
    shard: RouteShard | None = None,
) -> list[OutboundRoute]:
    """Select routes.

    Args:
        tags: of which a route has one; none means any.
        names: of which a route has one: its name, or its handler as ``module.function``; none means any.
        shard: the part to which it belongs.
    Raises:
        SelectionError: a tag or a name that no route has.
    """
    wanted_tags, wanted_names = set(tags), set(names)
    _refuse_unknown("tag", wanted_tags, {tag for route in routes for tag in route.tags})
    known = {name for route in routes for name in _names(route)}
    _refuse_unknown("route", wanted_names, known, shown={route.key for route in routes})
    return [
        route
        for route, shard_name in zip(routes, _shard_names(routes), strict=True)
        if (not wanted_tags or wanted_tags.intersection(route.tags))
        and (not wanted_names or wanted_names.intersection(_names(route)))
        and (shard is None or shard.has(shard_name))
    ]


def _shard_names(routes: Sequence[OutboundRoute]) -> list[str]:
    """Names of the routes when they are split: the same in every process, and different for each route.

    That is its key. Where routes without a name share one, for they share a function, it has their URLs besides; and
    where they share that, too, a number.
    """
    keys = Counter(route.key for route in routes)
    seen: Counter[str] = Counter()
    names = []
    for route in routes:
        name = route.key
        if keys[name] > 1:
            name = f"{name} {route.shown_url if callable(route.url) else route.url}"
            seen[name] += 1
            name = f"{name} {seen[name]}"
        names.append(name)
    return names


def _names(route: OutboundRoute) -> tuple[str, str]:
    return route.name, route.handler_name


def _refuse_unknown(what: str, wanted: set[str], known: set[str], shown: set[str] | None = None) -> None:
    unknown = sorted(wanted - known)
    if unknown:
        there_is = ", ".join(sorted(known if shown is None else shown)) or "none"
        raise SelectionError(f"No outbound route has the {what} {unknown[0]!r}. There are: {there_is}.")
