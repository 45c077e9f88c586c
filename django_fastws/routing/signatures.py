"""Signature of a handler: its parameters besides the WebSocket, and checks that a function can be a handler."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from asgiref.sync import iscoroutinefunction

from .._core.converters import converter_for, path_converter, unwrap
from .._core.parameters import Parameter, ParameterError, Query
from .._core.paths import Path
from ..exceptions import RouteError
from ..masking import is_masked
from .annotations import resolve_annotation, signature_of

__all__ = [
    "Signature",
    "check_async",
    "check_handler",
    "label_of",
    "place_of",
    "read_signature",
    "resolved_annotation",
]


class Signature(NamedTuple):
    """Signature of a handler: its parameters besides the WebSocket.

    Attributes:
        parameters: by name, those that come from the path or the query string.
        takes_any: it has ``**kwargs``, which get the path's parameters that it does not name.
    """

    parameters: dict[str, Parameter]
    takes_any: bool

    def bind(self, path_params: Mapping[str, Any], fields: Iterable[tuple[str, str]]) -> dict[str, Any]:
        """The arguments of one call.

        Args:
            path_params: what the path holds, converted by its converters.
            fields: those of the query string, as ``parse_query()`` gives them.
        Raises:
            ParameterError: something does not fit; the text names every such parameter.
        """
        arguments: dict[str, Any] = dict(path_params) if self.takes_any else {}
        values: dict[str, list[str]] = {}
        for name, value in fields:
            values.setdefault(name, []).append(value)
        errors = []
        for name, parameter in self.parameters.items():
            try:
                if name in path_params:
                    arguments[name] = parameter.from_path(path_params[name])
                else:
                    arguments[name] = parameter.from_query(values.get(parameter.query_name, ()))
            except ParameterError as error:
                # The text is for the client, and goes to the log as well.
                errors.append(error.masked if is_masked(parameter.query_name) else str(error))
        if errors:
            raise ParameterError("\n".join(errors))
        return arguments


def read_signature(handler: Any, caller: Mapping[str, Any], pattern: Path | None = None) -> Signature:
    """Check that a function can be a handler, and read what it takes behind the WebSocket.

    Args:
        caller: the names local to where the handler is declared, for annotations that are strings.
        pattern: the path; what its own converters make need not be convertible from text.
    Raises:
        RouteError: it cannot be a handler.
    """
    label = label_of(handler)
    check_async(handler, label)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    found = list(signature_of(handler).parameters.values())
    if not found or found[0].kind not in (*positional, inspect.Parameter.VAR_POSITIONAL):
        raise RouteError(f"{label}() takes no WebSocket: write `async def {handler.__name__}(ws, ...)`")
    #: By the name of each parameter of the path, whether a converter that the path names makes its value.
    path = {param.name: param.converter is not None for param in (pattern.params if pattern is not None else ())}
    if found[0].name in path and found[0].kind is not inspect.Parameter.POSITIONAL_ONLY:
        raise RouteError(f"{label}(): the path has {found[0].name!r}, which is the WebSocket's name; rename one")
    parameters, takes_any = {}, False
    for parameter in found[1:]:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_any = True
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise RouteError(f"{label}(): parameter {parameter.name!r} is positional-only, and could not be passed")
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            parameters[parameter.name] = _read_parameter(parameter, handler, label, caller, path)
    _check_query_names(label, parameters, path)
    return Signature(parameters, takes_any)


def check_handler(handler: Any, takes: str) -> None:
    """Check that a function can be the handler of an outbound route: async, with one parameter.

    Args:
        takes: what it is called with, for the text of the error.
    Raises:
        RouteError: it cannot be a handler.
    """
    label = label_of(handler)
    check_async(handler, label, takes)
    try:
        signature_of(handler).bind(None)
    except TypeError:
        raise RouteError(
            f"{label}() is called with one argument: write `async def {handler.__name__}({takes})`"
        ) from None


def _read_parameter(
    parameter: inspect.Parameter, handler: Any, label: str, around: Mapping[str, Any], path: Mapping[str, bool]
) -> Parameter:
    empty = inspect.Parameter.empty
    name, annotation, default = parameter.name, parameter.annotation, parameter.default
    if isinstance(default, Query):
        raise RouteError(f"{label}(): {name}={default!r} is a default: write `{name}: Annotated[str, {default!r}]`")
    if annotation is empty:
        # Without an annotation, the default tells.
        annotation = type(default) if type(default) in (int, float, bool) else str
    else:
        annotation = resolved_annotation(annotation, handler, label, name, around)
    alias = next((hint.alias for hint in unwrap(annotation)[1] if isinstance(hint, Query)), "")
    if alias and name in path:
        raise RouteError(f"{label}(): {name!r} comes from the path, where no Query(alias=...) can rename it")
    try:
        kind = converter_for(annotation, is_ready=path.get(name, False))
    except TypeError as error:
        raise RouteError(f"{label}(): parameter {name!r}: {error}") from None
    return Parameter(
        name=name,
        kind=kind,
        required=default is empty,
        default=None if default is empty else default,
        path_converter=path_converter(annotation),
        alias=alias,
    )


def _check_query_names(label: str, parameters: Mapping[str, Parameter], path: Mapping[str, bool]) -> None:
    found: dict[str, str] = {}
    for name, parameter in parameters.items():
        spelt = parameter.query_name
        if name not in path and (other := found.setdefault(spelt, name)) != name:
            raise RouteError(f"{label}(): {other!r} and {name!r} are both {spelt!r} in the query string")


def resolved_annotation(annotation: Any, handler: Any, label: str, name: str, around: Mapping[str, Any]) -> Any:
    """An annotation of a handler without the strings in it, as ``resolve_annotation``.

    Args:
        label: of the handler, for the text of the error.
        name: of the parameter.
    Raises:
        RouteError: a name in it cannot be found.
    """
    try:
        return resolve_annotation(annotation, handler, name, around)
    except Exception as error:
        raise RouteError(
            f"{label}(): the annotation {annotation!r} of {name!r} cannot be resolved ({error}); "
            "import it where the handler can see it"
        ) from None


def label_of(handler: Any) -> str:
    """A handler as ``module.name``."""
    return f"{getattr(handler, '__module__', '?')}.{getattr(handler, '__qualname__', repr(handler))}"


def place_of(handler: Any) -> str:
    """Place where a handler was declared: module, name, file and line."""
    label = label_of(handler)
    code = getattr(inspect.unwrap(handler), "__code__", None)
    if code is not None:
        return f"{label} ({code.co_filename}:{code.co_firstlineno})"
    try:
        return f"{label} ({inspect.getsourcefile(handler)}:{inspect.getsourcelines(handler)[1]})"
    except (OSError, TypeError):
        return label


def check_async(
    handler: Any,
    label: str,
    takes: str = "ws, ...",
    *,
    may_yield: bool = False,
    instead: str = "send with `await ws.send(...)` instead",
) -> None:
    """Check that a handler is async.

    Args:
        label: of the handler, for the text of the error.
        takes: what it is called with, for the text of the error.
        may_yield: it may be an async generator.
        instead: what to write in the place of a ``yield``, for the text of the error.
    Raises:
        RouteError: it is not.
    """
    if isinstance(handler, type):
        raise RouteError(f"{label} is a class, but no Channels consumer: decorate a consumer class or an `async def`")
    if inspect.isasyncgenfunction(handler):
        if may_yield:
            return
        raise RouteError(f"{label}() has a `yield`: {instead}", "not-async")
    if not callable(handler) or not iscoroutinefunction(handler):
        name = getattr(handler, "__name__", "handler")
        raise RouteError(
            f"{label}() is not async: write `async def {name}({takes})`, and call sync code in it through "
            "`await sync_to_async(function)(...)`",
            "not-async",
        )
    if not hasattr(handler, "__name__"):
        raise RouteError(f"{label}: decorate an `async def`, not an object that wraps one")
