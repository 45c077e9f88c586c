"""Error codes of live rooms: the table has what the package answers with, and what of that is tried again."""

from __future__ import annotations

import ast

import pytest

from django_fastws._core.error_codes import ERROR_CODES, is_retried
from tests.support.processes import ROOT

#: What takes a code, and at which place.
TAKES = {"LiveError": 0, "_refused": 1, "BadFrame": 1, "error": 1}


def codes_in(file):
    """The codes that a module answers with."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            place = TAKES.get(name)
            if place is not None and len(node.args) > place and isinstance(node.args[place], ast.Constant):
                yield node.args[place].value


def test_the_package_answers_with_the_codes_of_the_table():
    package = ROOT / "django_fastws"
    files = [*(package / "live").glob("*.py"), package / "_core" / "live_frames.py"]
    found = {code for file in files for code in codes_in(file)}
    assert len(found) > 10
    assert found - set(ERROR_CODES) == set()


@pytest.mark.parametrize(
    ("code", "again"), [("rate_limited", True), ("unavailable", True), ("failed", False), ("of a handler", False)]
)
def test_what_may_succeed_later_is_retried(code, again):
    assert is_retried(code) is again


def test_every_code_says_what_it_means():
    assert [code for code, row in ERROR_CODES.items() if not row.meaning.endswith(".")] == []
