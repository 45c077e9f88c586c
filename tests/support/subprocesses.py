"""Projects of a test's own, each run in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from tests.support import interpreter
from tests.support.interpreter import ROOT

SETTINGS = """
SECRET_KEY = "for tests only"
DEBUG = True
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = ["channels", "django_fastws", "tests.support.started.Started"]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"
USE_TZ = True
DATABASES = {}
FASTWS_SLOW_CALLBACK_SECONDS = None  # of a machine that is busy, it would be said in logs that tests read
"""
ASGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
from django_fastws.asgi import get_asgi_application
application = get_asgi_application()
"""


class Project:
    """A Django project in a directory.

    Args:
        root: an empty directory.
        settings: what goes behind the default settings.
        files: the text of more files, by path; of those that are there already, another text.
    """

    def __init__(self, root: Path, settings: str = "", files: Mapping[str, str] | None = None) -> None:
        self.root = root
        texts = {
            "project/__init__.py": "",
            "project/settings.py": SETTINGS + textwrap.dedent(settings),
            "project/urls.py": "urlpatterns = []\n",
            "project/asgi.py": ASGI,
            **(files or {}),
        }
        for name, text in texts.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))

    def run(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run Python code with the project's settings, warnings being errors."""
        return run(code, {"DJANGO_SETTINGS_MODULE": "project.settings"}, self.root)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a management command."""
        code = f"from django.core.management import execute_from_command_line as run; run({['', *arguments]!r})"
        return self.run(code)


def run(
    code: str,
    environment: Mapping[str, str | None] | None = None,
    directory: Path = ROOT,
    *,
    has_imported_nothing: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process of its own, warnings being errors; a variable of the environment may be None.

    It has imported neither the package nor settings; where others count as well, it must have imported nothing.
    """
    variables = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
        "NO_COLOR": "1",
        **(environment or {}),
    }
    given = {name: value for name, value in variables.items() if value is not None}
    arguments = ["-c", textwrap.dedent(code)]
    if not has_imported_nothing:
        return interpreter.run(arguments, given, directory=directory)
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=given,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
