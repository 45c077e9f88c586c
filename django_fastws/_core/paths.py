"""The paths of routes: ``/chat/{room}``, ``/item/{pk:int}``, and Django's ``/item/<int:pk>``."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Param", "Path", "Readings", "join", "parse", "without_prefix"]

_PARAM = re.compile(r"\{([^{}<>]*)\}|<([^{}<>]*)>")
_STRAY = re.compile(r"[{}<>?#]")

_MOST_STEPS = 10_000_000  # of a regular expression: a twentieth of a second


class Param(NamedTuple):
    """A parameter of a path. The converter is None where the handler's annotation picks it."""

    name: str
    converter: str | None


class Path(NamedTuple):
    """A parsed path: literal text and parameters, in order, without the leading slash."""

    parts: tuple[str | Param, ...]

    @property
    def params(self) -> tuple[Param, ...]:
        """The parameters, in order."""
        return tuple(part for part in self.parts if isinstance(part, Param))

    def fill(self, texts: Mapping[str, str]) -> str:
        """The path with a text in place of each parameter.

        >>> parse("tickets/{pk:int}").fill({"pk": "5"})
        'tickets/5'
        """
        return "".join(texts[part.name] if isinstance(part, Param) else part for part in self.parts)

    def django_route(self, converters: Mapping[str, str]) -> str:
        """The path in the syntax of ``django.urls.path()``.

        Args:
            converters: the converter of each parameter that has none of its own; ``str`` for those not in it.
        """
        return "".join(
            f"<{part.converter or converters.get(part.name, 'str')}:{part.name}>" if isinstance(part, Param) else part
            for part in self.parts
        )

    def shape(self, converters: Mapping[str, str]) -> str:
        """The path without its parameters' names: two routes of one shape match the same URLs."""
        return "".join(
            f"<{part.converter or converters.get(part.name, 'str')}>" if isinstance(part, Param) else part
            for part in self.parts
        )


class Readings:
    """Readings of a text: the ways to split it into the parameters of a path, of which a match may try all.

    512 hyphens can be read by ``{a}-{b}-{c}`` in 130,000 ways, each of which costs a look at the rest of the text.

    Args:
        regexes: of the parameters, by name.
    """

    def __init__(self, path: Path, regexes: Mapping[str, re.Pattern[str]]) -> None:
        #: What stands between two parameters and may be in the first, too, so that it does not say where that ends.
        self._separators: Counter[str] = Counter()
        before, between = "", ""
        for part in path.parts:
            if isinstance(part, str):
                between = part
                continue
            if before and any(regexes[before].fullmatch(f"{a}{between}{a}") for a in ("", "a", "0")):
                self._separators[between] += 1
            before, between = part.name, ""

    def are_too_many(self, text: str) -> bool:
        """Whether trying all readings of a text would take long; nobody writes such a text for a path."""
        if not self._separators:
            return False
        counts = ((text.count(between), many) for between, many in self._separators.items())
        return math.prod(math.comb(count, many) for count, many in counts) * len(text) > _MOST_STEPS


def join(prefix: str, path: str) -> str:
    """Put a FastWS's prefix before a route's path; the result starts with one slash.

    >>> join("/ws", "/chat/{room}"), join("ws/", "chat/"), join("", ""), join("/ws", "")
    ('/ws/chat/{room}', '/ws/chat/', '/', '/ws')
    """
    head = prefix.strip("/")
    joined = "/".join(part for part in (head, path.lstrip("/")) if part)
    if head and path.strip() and not path.strip("/"):
        joined += "/"
    return "/" + joined


def parse(path: str) -> Path:
    """Take a path apart.

    >>> parse("/chat/{room}/<int:pk>").parts
    ('chat/', Param(name='room', converter=None), '/', Param(name='pk', converter='int'))

    Raises:
        TypeError: the path is not a str.
        ValueError: a brace is left open, a name is no identifier or comes twice, or the path holds ``?`` or ``#``.
    """
    if not isinstance(path, str):
        raise TypeError(f"a path is a str such as '/chat/{{room}}', not {type(path).__name__}")
    text = path.lstrip("/")
    parts: list[str | Param] = []
    at = 0
    for match in _PARAM.finditer(text):
        if match.start() > at:
            parts.append(text[at : match.start()])
        braces, angles = match.groups()
        parts.append(_param(path, braces, angles))
        at = match.end()
    if at < len(text):
        parts.append(text[at:])
    for part in parts:
        if isinstance(part, str) and (stray := _STRAY.search(part)):
            remedy = (
                "query parameters are parameters of the handler, not part of its path"
                if stray[0] in "?#"
                else "parameters are written {name}, {name:converter} or <converter:name>"
            )
            raise ValueError(f"path {path!r} has a stray {stray[0]!r}: {remedy}")
    names = [part.name for part in parts if isinstance(part, Param)]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"path {path!r} has two parameters called {name!r}")
    return Path(tuple(parts))


def _param(path: str, braces: str | None, angles: str | None) -> Param:
    if braces is not None:
        name, colon, converter = braces.partition(":")
    else:
        converter, colon, name = (angles or "").rpartition(":")
    if not name.isidentifier() or (colon and not converter.isidentifier()):
        raise ValueError(
            f"path {path!r}: {(braces if braces is not None else angles)!r} is not a parameter; "
            "write {name}, {name:converter} or <converter:name>"
        )
    return Param(name, converter or None)


def without_prefix(path: str, prefix: str) -> str | None:
    """The rest of a path behind a script prefix; None if it does not begin with that.

    >>> without_prefix("/app/ws/echo", "/app")
    '/ws/echo'
    >>> without_prefix("/appws/echo", "/app") is None
    True
    """
    prefix = prefix.rstrip("/")
    if prefix and (path == prefix or path.startswith(f"{prefix}/")):
        return path[len(prefix) :]
    return None
