"""Pattern of the names of a room's instances: "tickets/{pk:int}", with the converters of paths."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from .._core.paths import Path, Readings, parse
from ..exceptions import RouteError
from ..routing import converter_of

__all__ = ["RoomPattern"]


class _Converted(NamedTuple):
    """One parameter with its converter."""

    name: str
    converter: Any
    regex: re.Pattern[str]


class RoomPattern:
    """Pattern of room names.

    Args:
        text: ``tickets/{pk:int}``; a parameter without a converter is a str without a slash.
    Raises:
        RouteError: it is no pattern.
    """

    def __init__(self, text: str) -> None:
        label, given = f"room({text!r})", cast("object", text)
        if not isinstance(given, str) or not given:
            raise RouteError(f"{label}: a pattern is a str such as 'tickets/{{pk:int}}'")
        if text.startswith("/"):
            raise RouteError(f"{label}: a room's name has no slash in front: write {text.lstrip('/')!r}")
        try:
            self.path: Path = parse(text)
        except ValueError as error:
            raise RouteError(f"{label}: {error}".replace("path ", "pattern ")) from None
        self.text = text
        converters = {
            param.name: converter_of(label, param.converter or "str", param.name) for param in self.path.params
        }
        self._params = {
            name: _Converted(name, converter, re.compile(converter.regex)) for name, converter in converters.items()
        }
        self._regex = re.compile(
            "".join(
                re.escape(part)
                if isinstance(part, str)
                else f"(?P<{part.name}>{self._params[part.name].regex.pattern})"
                for part in self.path.parts
            )
        )
        self._readings = Readings(self.path, self.regexes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters, in order."""
        return tuple(self._params)

    @property
    def regexes(self) -> dict[str, re.Pattern[str]]:
        """The regular expression of each parameter's converter, by name."""
        return {name: param.regex for name, param in self._params.items()}

    @property
    def shape(self) -> str:
        """The pattern without its parameters' names: those of one shape match the same names."""
        return self.path.shape({})

    def match(self, name: str) -> dict[str, Any] | None:
        """The parameters of a name, converted; None if the pattern does not match it.

        A room has one name: "tickets/05" is none where ``fill()`` makes "tickets/5" of what is in it.
        """
        if self._readings.are_too_many(name):
            return None
        found = self._regex.fullmatch(name)
        if found is None:
            return None
        params = {}
        for param in self._params.values():
            text = found[param.name]
            try:
                params[param.name] = value = param.converter.to_python(text)
                if str(param.converter.to_url(value)) != text:
                    return None
            except ValueError:
                return None
        return params

    def fill(self, params: Mapping[str, Any]) -> str:
        """The name for these parameters.

        Raises:
            TypeError: one is missing, unknown or of a wrong value; the text says which.
        """
        for name in params:
            if name not in self._params:
                raise TypeError(f"room {self.text!r} has no parameter {name!r}; {self._taken()}")
        texts = {}
        for name, param in self._params.items():
            if name not in params:
                raise TypeError(f"room {self.text!r} needs the parameter {name!r}; {self._taken()}")
            texts[name] = self._text(param, params[name])
        filled = self.path.fill(texts)
        if self._readings.are_too_many(filled):
            raise TypeError(f"room {self.text!r}: {filled!r} could be read as too many other parameters")
        found = self._regex.fullmatch(filled)
        if found is None or any(found[name] != text for name, text in texts.items()):
            raise TypeError(f"room {self.text!r}: {filled!r} would be read as other parameters than {dict(params)!r}")
        return filled

    def _text(self, param: _Converted, value: Any) -> str:
        try:
            text = str(param.converter.to_url(value))
            if value is not None and param.regex.fullmatch(text):
                param.converter.to_python(text)
                return text
        except (ValueError, TypeError, AttributeError):
            pass
        raise TypeError(f"room {self.text!r}: {param.name}={value!r} does not fit the pattern")

    def _taken(self) -> str:
        return f"it takes {', '.join(self._params)}" if self._params else "it takes none"

    def __repr__(self) -> str:
        return f"RoomPattern({self.text!r})"
