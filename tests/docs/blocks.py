"""The blocks of code of a Markdown page: fenced ones, and MyST's directives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.processes import ROOT

__all__ = ["DOCS", "EXAMPLES", "README", "TUTORIAL", "Block", "blocks_of", "page", "pages", "scripts", "section"]

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
README = ROOT / "README.md"
TUTORIAL = sorted((DOCS / "tutorial").glob("[1-9]*.md"))

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}|:{3,})(?P<info>.*)$")
_DIRECTIVE = re.compile(r"\{(?P<name>[\w:-]+)\}\s*(?P<argument>.*)")
_OPTION = re.compile(r":(?P<name>[\w-]+):\s*(?P<value>.*)")
_FILE = re.compile(r"`([\w./-]+\.(?:py|html|toml|ini))`[^`]*:$")

#: Directives that hold prose, and perhaps blocks of their own.
_PROSE = frozenset({"note", "tip", "important", "warning", "seealso", "toctree", "contents", "deprecated"})
#: Directives that are a block of code with a language.
_CODE = frozenset({"code-block", "code", "sourcecode"})


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        page: where it stands, relative to the repository.
        line: of its opening fence, from 1.
        section: the heading above it.
        language: ``python``, ``console``, ...; ``{literalinclude}`` for an included file.
        text: its lines.
        options: those of a directive.
        argument: of a directive: the file that is included.
        file: the file that the reader is told to make of it, if any: the caption, or the last path in the paragraph
            before it, if that ends with a colon.
        appends: it goes to the end of that file.
    """

    page: str
    line: int
    section: str
    language: str
    text: str
    options: dict[str, str] = field(default_factory=dict)
    argument: str = ""
    file: str | None = None
    appends: bool = False

    @property
    def id(self) -> str:
        """For a test's parameters."""
        return f"{self.page}:{self.line}"

    @property
    def included(self) -> Path:
        """The file that a literalinclude shows."""
        return ((ROOT / self.page).parent / self.argument).resolve()


def pages() -> list[Path]:
    """Every page of the documentation, the README and the changelog among them."""
    built = DOCS / "_build"
    found = [path for path in sorted(DOCS.rglob("*.md")) if built not in path.parents]
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *found]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    return list(_blocks(page.relative_to(ROOT).as_posix(), page.read_text("utf-8").split("\n"), 1))


def _blocks(page: str, lines: list[str], first: int) -> Iterator[Block]:
    at = 0
    before: list[str] = []  # the paragraph before
    section = ""
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if not opening:
            if lines[at].startswith("#"):
                section, before = lines[at].strip("# "), []
            elif lines[at].strip():
                before.append(lines[at].strip())
            elif at + 1 < len(lines) and lines[at + 1].strip() and not _FENCE.match(lines[at + 1]):
                before = []
            at += 1
            continue
        end = _end(page, lines, at, opening)
        inner = [line.removeprefix(opening["indent"]) for line in lines[at + 1 : end]]
        yield from _read(page, opening["info"].strip(), inner, first + at, section, " ".join(before))
        before = []
        at = end + 1


def _end(page: str, lines: list[str], at: int, opening: re.Match[str]) -> int:
    fence = opening["fence"]
    for end in range(at + 1, len(lines)):
        line = lines[end].strip()
        if line and set(line) == {fence[0]} and len(line) >= len(fence):
            return end
    raise ValueError(f"{page}:{at + 1}: a block is left open")


def _read(page: str, info: str, inner: list[str], line: int, section: str, before: str) -> Iterator[Block]:
    directive = _DIRECTIVE.fullmatch(info)
    if directive and directive["name"] in _PROSE:
        yield from _blocks(page, inner, line + 1)
        return
    language, argument, options = info, "", {}
    if directive:
        while inner and (option := _OPTION.fullmatch(inner[0])):
            options[option["name"]] = option["value"]
            inner = inner[1:]
        is_code = directive["name"] in _CODE
        language = directive["argument"] if is_code else f"{{{directive['name']}}}"
        argument = "" if is_code else directive["argument"]
    named = _FILE.search(before)
    caption = options.get("caption", "")
    yield Block(
        page=page,
        line=line,
        section=section,
        language=language,
        text="\n".join(inner).strip("\n") + "\n",
        options=options,
        argument=argument,
        file=caption.split(" (")[0] or (named[1] if named else None),
        appends="(add at the end)" in caption or "at the end of" in before.lower(),
    )


def section(path: Path, *titles: str) -> list[Block]:
    """What there is to follow in these sections of a page; scripts for a browser are followed elsewhere."""
    found = [block for block in blocks_of(path) if block.section in titles]
    assert found, f"{path.name} has no blocks under {titles}"
    return [block for block in found if block.language != "javascript"]


def page(path: Path) -> list[Block]:
    """What there is to follow on a page."""
    return [block for block in blocks_of(path) if block.language != "javascript"]


def scripts(path: Path) -> list[str]:
    """What there is to paste into the browser's console."""
    return [f"() => {{ {block.text} }}" for block in blocks_of(path) if block.language == "javascript"]
