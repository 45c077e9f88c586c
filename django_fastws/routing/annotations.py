"""Resolver of a handler's annotations: strings, closures, imports under ``if TYPE_CHECKING:``."""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

__all__ = ["resolve_annotation", "signature_of"]


def signature_of(function: Any) -> inspect.Signature:
    """The signature of a function, without evaluating its annotations on Pythons that do so when asked (PEP 649).

    There the annotations come as strings, as under ``from __future__ import annotations`` everywhere.
    """
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.STRING)
    return inspect.signature(function)


def resolve_annotation(annotation: Any, function: Any, name: str, around: Mapping[str, Any]) -> Any:
    """An annotation without the strings in it.

    Names are looked for in the function's module, in the functions around it, and among what the module imports
    under ``if TYPE_CHECKING:``, which is then imported here.

    Args:
        name: of the parameter.
        around: the names local to where the function is declared.
    Raises:
        Exception: whatever evaluating or importing raises.
    """
    if isinstance(annotation, str) and (bare := annotation.strip("'\"")) in ("slug", "path"):
        return bare  # a path converter that no type stands for
    function = inspect.unwrap(function)
    module = sys.modules.get(getattr(function, "__module__", "") or "")
    globals_ = dict(getattr(function, "__globals__", vars(module) if module is not None else {}))
    names = {**_closure(function), **around}
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    while True:
        try:
            resolved = typing.get_type_hints(holder, globals_, names, include_extras=True)[name]
        except NameError as error:
            if error.name is None or error.name in globals_:
                raise
            globals_[error.name] = _imported_for_type_checkers(module, error)
        else:
            break
    return resolve_annotation(resolved, function, name, around) if isinstance(resolved, str) else resolved


def _closure(function: Any) -> dict[str, Any]:
    """The names that a function has from the functions around it."""
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, cells, strict=False):
        with contextlib.suppress(ValueError):  # not filled yet
            found[name] = cell.cell_contents
    return found


def _imported_for_type_checkers(module: types.ModuleType | None, error: NameError) -> Any:
    """The object that a module imports by a name under ``if TYPE_CHECKING:``.

    Raises:
        NameError: the given one, if it imports no such name there.
    """
    try:
        tree = ast.parse(inspect.getsource(module)) if module is not None else ast.Module([], [])
    except (OSError, TypeError, SyntaxError):
        raise error from None
    for statement in _under_type_checking(tree):
        for alias in statement.names:
            if (alias.asname or alias.name.partition(".")[0]) == error.name:
                return _import(statement, alias, getattr(module, "__package__", None))
    raise error


def _under_type_checking(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            for inner in node.body:
                yield from (one for one in ast.walk(inner) if isinstance(one, (ast.Import, ast.ImportFrom)))


def _import(statement: ast.Import | ast.ImportFrom, alias: ast.alias, package: str | None) -> Any:
    if isinstance(statement, ast.Import):
        found = import_module(alias.name)
        return found if alias.asname else sys.modules[alias.name.partition(".")[0]]
    path = "." * statement.level + (statement.module or "")
    source = import_module(path, package)
    try:
        return getattr(source, alias.name)
    except AttributeError:
        return import_module(f"{source.__name__}.{alias.name}")
