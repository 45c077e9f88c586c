"""Declarations of routes: names, tags, converters and options, with a suggestion for a misspelt option or setting."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, ParamSpec, TypeVar

from django.urls.converters import get_converters

from ..exceptions import RouteError
from .annotations import signature_of
from .signatures import label_of

__all__ = ["check_name", "checked_tags", "checks_options", "converter_of", "did_you_mean", "unknown_option"]

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to a misspelt one, if any is near."""
    by_folded = {one.replace("_", "").lower(): one for one in known}
    near = get_close_matches(name.replace("_", "").lower(), by_folded, n=1, cutoff=0.75)
    return by_folded[near[0]] if near else None


def unknown_option(call: str, name: str, known: Iterable[str]) -> RouteError:
    """The error of an option that a decorator does not have."""
    known = list(known)
    meant = did_you_mean(name, known)
    hint = f"did you mean {meant!r}?" if meant else f"it takes {', '.join(known)}"
    return RouteError(f"{call}() has no option {name!r}: {hint}")


def checks_options(call: str) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """Decorate a method that makes a decorator: an option that it does not have is a RouteError that names the right.

    So is the method itself where what it makes was meant: ``@app.websocket`` for ``@app.websocket("/path")``.

    Args:
        call: what the method is called in errors.
    """

    def decorate(method: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        _, first, *others = inspect.signature(method).parameters.values()
        takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in others)  # and looks at them itself
        known = [first.name, *(one.name for one in others)]

        @functools.wraps(method)
        def checked(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            if len(args) == 2 and not kwargs and _is_handler(args[1]):
                example = '"/path"' if first.name == "path" else f'{first.name}="..."'
                raise RouteError(f"{label_of(args[1])}: write `@app.{call}({example})` instead of `@app.{call}`")
            unknown = next((name for name in kwargs if name not in known), None)
            if unknown is not None and not takes_any:
                raise unknown_option(call, unknown, known)
            return method(*args, **kwargs)

        return checked

    return decorate


def _is_handler(value: Any) -> bool:
    """Whether this is a consumer class or a function that takes something: a URL's callable takes nothing."""
    if isinstance(value, type):
        return True
    if not callable(value):
        return False
    try:
        signature_of(value).bind()
    except TypeError:
        return True
    except ValueError:
        return False
    return False


def check_name(label: str, name: Any) -> None:
    """Check the name of a route, which may be None.

    Raises:
        RouteError: it cannot be one.
    """
    if name is not None and (not isinstance(name, str) or not name or ":" in name):
        raise RouteError(f"{label}: name={name!r} is no name: use a str without a colon")


def checked_tags(tags: Iterable[str] | None) -> tuple[str, ...]:
    """The tags of a route, or of a FastWS.

    Raises:
        RouteError: it is one str.
    """
    if isinstance(tags, str):
        raise RouteError(f"tags={tags!r} is one str: write tags=[{tags!r}]")
    return tuple(tags or ())


def converter_of(label: str, name: str, parameter: str) -> Any:
    """The path converter of this name.

    Args:
        label: of what is declared, for the text of the error.
        parameter: whose converter it is, for the text as well.
    Raises:
        RouteError: there is none.
    """
    known = get_converters()
    if name not in known:
        mistake = f"{label}: no path converter is called {name!r}"
        if parameter in known:
            raise RouteError(f"{mistake}: write {{{name}:{parameter}}} or <{parameter}:{name}>")
        raise RouteError(f"{mistake}; there are {', '.join(sorted(known))}")
    return known[name]
