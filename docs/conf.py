"""How Sphinx builds the documentation: ``make docs``.

The pages are plain Markdown, because they are read on a forge and in editors as well. What Sphinx wants besides is
added here while it reads them.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from django_fastws import __version__

project = "django_fastws"
author = "django_fastws contributors"
copyright = "django_fastws contributors"
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples"]
nitpicky = True

myst_heading_anchors = 3

html_theme = "furo"
html_title = f"django_fastws {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
highlight_language = "none"

_DOCS = Path(__file__).parent
_LINK = re.compile(r"\]\((?!\.\./|https?:)([\w/-]+)\.md\)")


def add_what_sphinx_wants(app: Sphinx, docname: str, source: list[str]) -> None:
    """An index gets a table of contents of the pages that it links to, and the changelog its text."""
    if docname == "changelog":
        app.env.note_dependency("../CHANGELOG.md")
        source[0] = (_DOCS.parent / "CHANGELOG.md").read_text("utf-8")
    elif docname.rpartition("/")[2] == "index":
        linked = dict.fromkeys(_LINK.findall(source[0]))
        source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(linked) + "\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_what_sphinx_wants)
