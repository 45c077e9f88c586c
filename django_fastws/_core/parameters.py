"""A handler's parameters: where their values come from, and the errors of those that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .converters import Kind, Misfit

__all__ = ["Parameter", "ParameterError", "Query"]


class Query:
    """Alias of a parameter in the query string, for names that Python cannot or should not spell.

    >>> # ids: Annotated[list[int], Query(alias="ids[]")]

    Args:
        alias: the name in the query string, decoded.
    Raises:
        TypeError: the alias is no str, or empty.
    """

    __slots__ = ("alias",)

    def __init__(self, *, alias: str) -> None:
        given: object = alias
        if not isinstance(given, str) or not given:
            raise TypeError(f"Query(alias={alias!r}): an alias is the name that the query string has, a str")
        self.alias = alias

    def __repr__(self) -> str:
        return f"Query(alias={self.alias!r})"


class ParameterError(Misfit):
    """A value that does not fit its parameter; the text names the parameter."""


class Parameter(NamedTuple):
    """One parameter of a handler that comes from the path or the query string.

    Attributes:
        name: as the handler spells it.
        kind: how its value is converted.
        required: it has no default.
        default: the default; meaningless where it is required.
        path_converter: the path converter that the annotation picks.
        alias: as the query string spells it; empty where that is the name.
    """

    name: str
    kind: Kind
    required: bool
    default: Any
    path_converter: str
    alias: str = ""

    @property
    def query_name(self) -> str:
        """Name of the parameter in the query string."""
        return self.alias or self.name

    def from_query(self, values: Sequence[str]) -> Any:
        """Convert what the query string has for this parameter; of several values for one the last counts.

        Raises:
            ParameterError: there is none and one is required, or it does not fit.
        """
        if not values:
            if self.required:
                raise ParameterError(f"query parameter {self.query_name!r} is required")
            default = self.default
            return default.copy() if isinstance(default, (list, set)) else default
        try:
            return self.kind.read_all(values) if self.kind.many else self.kind.read(values[-1])
        except Misfit as error:
            raise _error(f"query parameter {self.query_name!r}", error) from None

    def from_path(self, value: Any) -> Any:
        """Convert what the URL's converter made of this parameter: a str, or an int or UUID that is ready.

        Raises:
            ParameterError: it does not fit.
        """
        kind = self.kind
        try:
            if not isinstance(value, str):
                # A converter that the path names has made it.
                return kind.checked([value] if kind.many else value, value)
            return kind.read_all([value]) if kind.many else kind.read(value)
        except Misfit as error:
            raise _error(f"path parameter {self.name!r}", error) from None


def _error(parameter: str, misfit: Misfit) -> ParameterError:
    return ParameterError(f"{parameter}: {misfit}", masked=f"{parameter}: {misfit.masked}")
