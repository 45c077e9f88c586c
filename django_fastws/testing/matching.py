"""Matching of messages in tests: what ``where=`` asks for, and what is said of those that did not match."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Where", "listed", "matches", "phrase"]

#: What a message must be like: a function of it, or a part of a JSON object.
Where = Callable[[Any], object] | Mapping[str, Any]

_LONGEST, _MOST = 200, 20  # characters of a message, and messages, that an error shows


def matches(where: Where | None, value: Any) -> bool:
    """Whether a value is like that.

    Of a mapping, each key must be there with that value; values that are mappings match in part, too. A function that
    raises LookupError or TypeError was made for values of another shape: it does not match.
    """
    if where is None:
        return True
    if isinstance(where, Mapping):
        return _has(value, where)
    try:
        return bool(where(value))
    except (LookupError, TypeError):
        return False


def _has(value: Any, part: Mapping[str, Any]) -> bool:
    if not isinstance(value, Mapping):
        return False
    for key, wanted in part.items():
        if key not in value:
            return False
        found = value[key]
        if not (_has(found, wanted) if isinstance(wanted, Mapping) else found == wanted):
            return False
    return True


def phrase(where: Where | None) -> str:
    """Description of the condition, to be put behind a noun in an error; empty for anything."""
    if where is None:
        return ""
    return f" where {dict(where)!r}" if isinstance(where, Mapping) else f" where {_name(where)}"


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", None) or repr(function)).replace("<locals>.", "")


def listed(title: str, messages: Iterable[Any], nothing: str) -> str:
    """Messages as lines below a title, the latest of many; or what to say where there are none."""
    texts = [message if isinstance(message, str) else repr(message) for message in messages]
    if not texts:
        return nothing
    left_out = len(texts) - _MOST
    lines: Sequence[str] = texts[-_MOST:]
    if left_out > 0:
        lines = [f"({left_out} more before these)", *lines]
    return "\n    ".join([title, *(_short(line) for line in lines)])


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
