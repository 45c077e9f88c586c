#!/usr/bin/env python
"""Code included in Markdown pages, so that it is there wherever a page is read: on a forge, in an editor.

A page names the file, and within Python the functions, classes or variables, in a comment. What stands between it and
the comment that ends it is written by this program, and is verbatim what stands in the file::

    <!-- code: docs/examples/chat.py chat -->
    ...
    <!-- code: end -->

Without names it is the whole file; of a Python file, all after its docstring. Paths are relative to the repository.
``make format`` runs this, ``make check`` runs it with ``--check``, and so does a test.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["IncludeError", "include", "main", "pages", "read_source"]

ROOT = Path(__file__).resolve().parent.parent

_MARKER = re.compile(r"\s*<!--\s*code:\s*(?P<source>.*?)\s*-->\s*")
_END = "end"
_FENCE = re.compile(r"\s*(?P<fence>`{3,}|~{3,})(?P<info>.*)")
#: How the code of a file is highlighted, by the end of its name.
_LANGUAGES = {
    ".cfg": "text",
    ".conf": "nginx",
    ".py": "python",
    ".service": "ini",
    ".socket": "ini",
    ".yaml": "yaml",
    "Containerfile": "dockerfile",
}


class IncludeError(Exception):
    """A comment of a page that cannot be followed.

    Attributes:
        line: of the comment, from 1.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def pages() -> list[Path]:
    """Every page that may include code."""
    built = ROOT / "docs" / "_build"
    found = [path for path in (ROOT / "docs").rglob("*.md") if built not in path.parents]
    return [*sorted(ROOT.glob("*.md")), *sorted(found)]


def read_source(path: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text("utf-8")


def include(page: str, read: Callable[[str], str] = read_source) -> str:
    """Fill in the code of a page.

    Args:
        page: the text of the page.
        read: returns the text of a file by its path in the repository; OSError if there is none.

    Returns:
        The page with each block as its source has it now.

    Raises:
        IncludeError: a comment names a file or an object that is not there, or its end is missing.
    """
    lines = page.split("\n")
    written: list[str] = []
    at = 0
    for line, source, end in _inclusions(lines):
        written += [*lines[at : line + 1], *_block(line + 1, source, read)]
        at = end
    return "\n".join([*written, *lines[at:]])


def _inclusions(lines: list[str]) -> Iterator[tuple[int, str, int]]:
    """Where code is included: the index of the opening comment, what it names, and the index of the closing one."""
    opened: tuple[int, str] | None = None
    fence = ""
    for at, line in enumerate(lines):
        if fenced := _FENCE.fullmatch(line):
            if not fence:
                fence = fenced["fence"]
            elif fenced["fence"].startswith(fence) and not fenced["info"].strip():
                fence = ""
        if fence or not (marker := _MARKER.fullmatch(line)):
            continue
        if not line.startswith("<!--"):
            raise IncludeError(at + 1, "The comment is indented; included code stands at the left margin.")
        source = marker["source"]
        if source == _END:
            if opened is None:
                raise IncludeError(at + 1, "Nothing begins that could end here.")
            yield *opened, at
            opened = None
        elif opened:
            raise IncludeError(opened[0] + 1, f"`<!-- code: {_END} -->` is missing behind it.")
        else:
            opened = at, source
    if opened:
        raise IncludeError(opened[0] + 1, f"`<!-- code: {_END} -->` is missing behind it.")


def _block(line: int, source: str, read: Callable[[str], str]) -> list[str]:
    """The fenced block for what a comment names."""
    path, *names = source.split()
    try:
        text = read(path)
    except OSError as exc:
        raise IncludeError(line, f"There is no file {path}.") from exc
    if names and not path.endswith(".py"):
        raise IncludeError(line, f"{path} is not Python; it can be included as a whole only.")
    code = _code(line, path, text, names) if path.endswith(".py") else text.strip("\n")
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("^`{3,}", code, re.MULTILINE) or [""]))
    language = _LANGUAGES.get(Path(path).suffix or Path(path).name, "text")
    return [f"{fence}{language}", *code.split("\n"), fence]


def _code(line: int, path: str, text: str, names: list[str]) -> str:
    """The named objects of a module, decorators included; without names, all after its docstring."""
    module = ast.parse(text, path)
    lines = text.split("\n")
    if not names:
        first = module.body[0].end_lineno if ast.get_docstring(module) is not None else 0
        return "\n".join(lines[first:]).strip("\n")
    spans = {name: span for node in module.body for name, span in _named(node)}
    if missing := [name for name in names if name not in spans]:
        raise IncludeError(line, f"{path} has no {', '.join(missing)} at its top level.")
    return "\n\n\n".join("\n".join(lines[start:end]) for start, end in (spans[name] for name in names))


def _named(node: ast.stmt) -> Iterator[tuple[str, tuple[int, int | None]]]:
    """The names that a statement defines, with its lines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        yield node.name, (first - 1, node.end_lineno)
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, (node.lineno - 1, node.end_lineno)


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check them. Returns the exit status."""
    parser = argparse.ArgumentParser(description="Write the code of files into the pages that name them.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is not up to date")
    parser.add_argument("pages", nargs="*", type=Path, help="Markdown files (default: all of the repository)")
    options = parser.parse_args(arguments)
    failed = False
    for path in options.pages or pages():
        text = path.read_text("utf-8")
        name = path.resolve().relative_to(ROOT).as_posix() if path.resolve().is_relative_to(ROOT) else str(path)
        try:
            wanted = include(text)
        except IncludeError as exc:
            failed = True
            _say(f"{name}:{exc.line}: {exc}")
            continue
        if wanted == text:
            continue
        if options.check:
            failed = True
            for line, source in _outdated(text, wanted):
                _say(f"{name}:{line}: this is not what stands in {source}. Change it there, then run `make format`.")
        else:
            path.write_text(wanted, "utf-8")
            _say(f"{name}: written")
    return int(failed)


def _outdated(text: str, wanted: str) -> list[tuple[int, str]]:
    """The comments whose code is another now, with the lines they stand in."""
    old, new = text.split("\n"), wanted.split("\n")
    pairs = zip(_inclusions(old), _inclusions(new), strict=True)
    return [(a + 1, source) for (a, source, b), (c, _, d) in pairs if old[a:b] != new[c:d]]


def _say(message: str) -> None:
    sys.stderr.write(f"{message}\n")


if __name__ == "__main__":
    sys.exit(main())
