"""The fenced blocks of code of a Markdown page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.processes import ROOT

__all__ = [
    "DOCS",
    "EXAMPLES",
    "README",
    "TUTORIAL",
    "Block",
    "blocks_of",
    "example_block",
    "page",
    "pages",
    "scripts",
    "section",
]

DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
README = ROOT / "README.md"
TUTORIAL = sorted((DOCS / "tutorial").glob("[1-9]*.md"))

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_COMMENT = re.compile(r"<!--\s*(?P<text>.*?)\s*-->")
_FILE = re.compile(r"`([\w./-]+\.(?:py|html|toml|ini))`[^`]*:$")


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        page: where it stands, relative to the repository.
        line: of its opening fence, from 1.
        language: ``python``, ``console``, ...
        text: its lines.
        source: the file that it is included from, relative to the repository; empty if it stands in the page alone.
        file: the file that the reader is told to make of it, if any: the last path in the paragraph before it, if
            that ends with a colon.
        appends: it goes to the end of that file.
    """

    page: str
    line: int
    section: str
    language: str
    text: str
    source: str = ""
    file: str | None = None
    appends: bool = False

    @property
    def id(self) -> str:
        """For a test's parameters."""
        return f"{self.page}:{self.line}"

    @property
    def included(self) -> Path:
        """The file that the block is included from."""
        return ROOT / self.source


def pages() -> list[Path]:
    """Every page of the documentation, the README and the changelog among them."""
    built = DOCS / "_build"
    found = [path for path in sorted(DOCS.rglob("*.md")) if built not in path.parents]
    return [ROOT / "README.md", ROOT / "CHANGELOG.md", *found]


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    return list(_blocks(page.relative_to(ROOT).as_posix(), page.read_text("utf-8").split("\n")))


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    at = 0
    before: list[str] = []  # the paragraph before
    section = source = ""
    while at < len(lines):
        opening = _FENCE.match(lines[at])
        if not opening:
            following = lines[at + 1] if at + 1 < len(lines) else ""
            if comment := _COMMENT.fullmatch(lines[at]):
                source = _included(comment["text"])
            elif lines[at].startswith("#"):
                section, before = lines[at].strip("# "), []
            elif lines[at].strip():
                before.append(lines[at].strip())
            elif following.strip() and not _FENCE.match(following) and not _COMMENT.fullmatch(following):
                before = []
            at += 1
            continue
        end = _end(page, lines, at, opening)
        inner = [line.removeprefix(opening["indent"]) for line in lines[at + 1 : end]]
        told = " ".join(before)
        named = _FILE.search(told)
        yield Block(
            page=page,
            line=at + 1,
            section=section,
            language=opening["info"].strip(),
            text="\n".join(inner).strip("\n") + "\n",
            source=source,
            file=named[1] if named else None,
            appends="at the end of" in told.lower(),
        )
        before = []
        at = end + 1


def _included(comment: str) -> str:
    """The file whose code stands behind a comment of a page; see ``docs/include_code.py``."""
    kind, _, rest = comment.partition(":")
    return rest.split()[0].removesuffix("end") if kind == "code" else ""


def _end(page: str, lines: list[str], at: int, opening: re.Match[str]) -> int:
    fence = opening["fence"]
    for end in range(at + 1, len(lines)):
        line = lines[end].strip()
        if line and set(line) == {fence[0]} and len(line) >= len(fence):
            return end
    raise ValueError(f"{page}:{at + 1}: a block is left open")


def example_block(name: str, file: str) -> Block:
    """A whole example that some page shows in part, to be written to a file."""
    for path in pages():
        for block in blocks_of(path):
            if block.included == EXAMPLES / f"{name}.py":
                return replace(block, text=block.included.read_text("utf-8"), file=file, appends=False)
    raise AssertionError(f"no page shows {name}.py")


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
