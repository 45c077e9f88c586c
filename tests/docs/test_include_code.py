"""The code in the pages is the code that is tested: ``docs/include_code.py`` writes it there and checks it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from docs.include_code import IncludeError, include, main, pages, read_source
from tests.docs.blocks import DOCS, blocks_of
from tests.support.processes import ROOT

FILES = {
    "a.py": '"""A module."""\n\nimport os\n\nLIMIT = 1\n\n\n@first\n@second\nasync def one():\n    pass\n\n\n'
    "class Two:\n    def three(self):\n        pass\n",
    "plain.py": "import os\n\nx = os\n",
    "fences.py": 'text = """\n```\n"""\n',
    "nginx.conf": "\nlisten 80;\n",
}


def _read(path):
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(path) from None


def _page(source, *inner):
    return "\n".join(["before", "", f"<!-- code: {source} -->", *inner, "<!-- code: end -->", "", "after"])


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("a.py one", ["```python", "@first", "@second", "async def one():", "    pass", "```"]),
        ("a.py LIMIT", ["```python", "LIMIT = 1", "```"]),
        ("a.py Two", ["```python", "class Two:", "    def three(self):", "        pass", "```"]),
        ("a.py Two LIMIT", ["```python", *FILES["a.py"].splitlines()[13:], "", "", "LIMIT = 1", "```"]),
        ("a.py", ["```python", *FILES["a.py"].splitlines()[2:], "```"]),
        ("plain.py", ["```python", *FILES["plain.py"].splitlines(), "```"]),
        ("fences.py", ["````python", 'text = """', "```", '"""', "````"]),
        ("nginx.conf", ["```nginx", "listen 80;", "```"]),
    ],
)
@pytest.mark.parametrize("before", [[], ["```python", "something = 'old'", "```"], ["```", "```"]], ids=str)
def test_code_is_written_between_its_comments(source, shown, before):
    assert include(_page(source, *before), _read) == _page(source, *shown)


def test_what_is_in_a_fence_is_no_comment_to_follow():
    page = "```markdown\n<!-- code: nowhere.py -->\n<!-- code: end -->\n```"
    assert include(page, _read) == page


@pytest.mark.parametrize(
    ("page", "line", "message"),
    [
        (_page("nowhere.py"), 3, "no file nowhere.py"),
        (_page("a.py three four"), 3, "a.py has no three, four"),
        (_page("nginx.conf server"), 3, "as a whole only"),
        ("<!-- code: a.py -->\n\ntext", 1, "is missing"),
        ("<!-- code: a.py -->\n<!-- code: plain.py -->\n<!-- code: end -->", 1, "is missing"),
        ("text\n<!-- code: end -->", 2, "Nothing begins"),
        ("- item\n  <!-- code: a.py -->\n  <!-- code: end -->", 2, "left margin"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_comment_that_cannot_be_followed_is_an_error(page, line, message):
    with pytest.raises(IncludeError, match=re.escape(message)) as caught:
        include(page, _read)
    assert caught.value.line == line


def test_a_check_names_the_page_the_line_and_the_remedy(tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(_page("docs/examples/chat.py", "```python", "pass", "```"))
    assert main(["--check", str(page)]) == 1
    said = capsys.readouterr().err
    assert f"{page}:3: " in said
    assert "docs/examples/chat.py" in said
    assert "make format" in said

    assert main([str(page)]) == 0
    assert read_source("docs/examples/chat.py") in page.read_text()
    assert main(["--check", str(page)]) == 0


def test_the_code_of_every_page_is_the_one_of_its_file():
    done = subprocess.run(
        [sys.executable, DOCS / "include_code.py", "--check"], cwd=DOCS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    included = [block for page in pages() for block in blocks_of(page) if block.source]
    assert len(included) > 60
    # A block may be of several functions, which do not stand one after the other in the file.
    strange = [
        block.id
        for block in included
        for part in block.text.strip("\n").split("\n\n\n")
        if part.strip("\n") not in block.included.read_text("utf-8")
    ]
    assert strange == []


def test_make_check_and_make_format_include_the_code():
    makefile = (ROOT / "Makefile").read_text()
    targets = {
        name: re.search(rf"^{name}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)[1]
        for name in ("check", "check-rest", "format")
    }
    assert "check-rest" in targets["check"]
    assert "docs/include_code.py --check\n" in targets["check-rest"]
    assert "docs/include_code.py\n" in targets["format"]
