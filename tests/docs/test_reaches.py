"""The list of what is relied on inside other libraries is whole, and each row has a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.processes import ROOT

PAGE = ROOT / "docs" / "explanation" / "dependencies.md"
PACKAGE = ROOT / "django_fastws"
#: Private names of Python's own that are documented.
PYTHONS = {"_current_frames", "_exit", "_getframe", "_replace", "_value2member_map_"}
#: A part of a longer name.
NO_REACH = {"_header", "_is_wanted", "_join"}  # the last two between the files of testing/
#: How names of our own begin that are set on objects of others.
OURS = "_fastws_"


class Row(NamedTuple):
    files: list[str]
    names: set[str]
    tests: list[str]


@cache
def rows() -> list[Row]:
    found = []
    section = PAGE.read_text("utf-8").partition("## What is relied on inside them")[2]
    for line in section.splitlines():
        cells = line.strip("|").split(" | ")
        if len(cells) == 5 and re.search(r"(\.py|/)`", cells[0]):
            names = {
                name
                for code in re.findall(r"`([^`]+)`", cells[1])
                for name in re.findall(r"\b_[a-z]\w*", code, re.IGNORECASE)
            }
            places = re.findall(r"`([\w/]+(?:\.py|/))`", cells[0])
            files = [file for place in places for file in _files(place)]
            found.append(Row(files, names, re.findall(r"`(test_\w+)`", cells[4])))
    return found


def _files(place: str) -> list[str]:
    """The file, or the files of a folder."""
    if not place.endswith("/"):
        return [place]
    return sorted(path.relative_to(PACKAGE).as_posix() for path in (PACKAGE / place).rglob("*.py"))


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


def _assigned(node: ast.AST) -> Iterator[str]:
    """The names that a node gives to something of ours."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_self(node.value):
        yield node.attr
    elif isinstance(node, ast.Assign) and any(
        isinstance(to, ast.Name) and to.id == "__slots__" for to in node.targets
    ):
        yield from (one.value for one in ast.walk(node.value) if isinstance(one, ast.Constant))


def _is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "cls")


def _foreign(node: ast.AST, in_file: set[str], in_package: set[str]) -> Iterator[str]:
    """The private names in a node that no code of ours has made."""
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        known = in_package if _is_self(node.value) else in_file
        if node.attr not in known:
            yield node.attr
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
        if is_private(node.value) and node.value not in in_package:  # for getattr() or hasattr()
            yield node.value
    elif isinstance(node, ast.ImportFrom) and not node.level and not (node.module or "").startswith("django_fastws"):
        yield from (alias.name for alias in node.names if is_private(alias.name))


@cache
def reaches() -> set[tuple[str, str]]:
    """The private names of others in the package, each with its file."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py")}
    own = {path: {name for node in ast.walk(tree) for name in _assigned(node)} for path, tree in trees.items()}
    in_package = set().union(*own.values())
    found = set()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            for name in _foreign(node, own[path], in_package):
                if name not in PYTHONS | NO_REACH and not name.startswith(OURS):
                    found.add((path.relative_to(PACKAGE).as_posix(), name))
    return found


def test_every_private_name_of_another_library_is_listed():
    assert len(reaches()) > 20
    listed = {(file, name) for row in rows() for file in row.files for name in row.names}
    assert sorted(reaches() - listed) == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.files[0] + "".join(sorted(row.names)))
def test_a_row_names_files_that_rely_on_it_and_tests_that_there_are(row):
    texts = [(PACKAGE / file).read_text("utf-8") for file in row.files]
    for name in row.names:
        assert any(re.search(rf"\b{name}\b", text) for text in texts), f"nothing in {row.files} relies on {name}"
    assert row.tests
    assert [name for name in row.tests if name not in _tests()] == []


@cache
def _tests() -> set[str]:
    paths: Iterator[Path] = (ROOT / "tests").rglob("test_*.py")
    return {name for path in paths for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))}
