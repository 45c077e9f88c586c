"""The log has one format: of both commands, of the reference, and of the example project."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import Any

import pytest

from django_fastws.logs import LOG_FORMAT, log_to_stderr
from django_fastws.server import CommandLineInterface
from example_project.settings import LOGGING
from tests.support.processes import ROOT


def test_the_server_has_it():
    assert CommandLineInterface().parser.parse_args([]).log_fmt == LOG_FORMAT


def test_the_reference_and_the_example_have_it():
    page = (ROOT / "docs" / "reference" / "settings.md").read_text("utf-8")
    shown = re.search(r"^LOGGING = \{.*?^\}", page, re.MULTILINE | re.DOTALL)
    assert shown is not None
    namespace: dict[str, Any] = {}
    exec(shown[0], namespace)
    assert namespace["LOGGING"] == LOGGING
    assert LOGGING["formatters"]["line"]["format"] == LOG_FORMAT


@contextmanager
def package_without_logging():
    """The package's logger, as it is on a project without LOGGING: within the test, where pytest adds nothing."""
    logger = logging.getLogger("django_fastws")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("handlers", []), ("propagate", False)):
            patch.setattr(logger, name, value)
        level = logger.level
        logger.setLevel(logging.NOTSET)
        yield logger
        logger.setLevel(level)


def test_it_is_what_is_written_where_the_project_says_nothing(capsys):
    with package_without_logging():
        log_to_stderr()
        log_to_stderr()
        logging.getLogger("django_fastws.clients").info("Done in %d s", 3)
    assert capsys.readouterr().err == "INFO    | django_fastws.clients | Done in 3 s\n"


def test_a_handler_and_a_level_of_the_projects_stay():
    mine = logging.NullHandler()
    with package_without_logging() as package:
        package.addHandler(mine)
        package.setLevel(logging.ERROR)
        log_to_stderr()
        assert (package.handlers, package.level) == ([mine], logging.ERROR)
