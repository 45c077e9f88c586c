"""How Sphinx builds the documentation: ``make docs``."""

from django_fastws import __version__

project = "django_fastws"
author = "django_fastws contributors"
copyright = "django_fastws contributors"
release = version = __version__

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "examples"]
nitpicky = True

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"django_fastws {release}"
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
highlight_language = "none"
