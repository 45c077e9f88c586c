"""The page on debugging, and the table of checks in the reference of the doctor."""

from __future__ import annotations

import re
import shlex

import pytest
from django.core.management import load_command_class

from tests.docs.blocks import DOCS, blocks_of
from tests.support.processes import ROOT

PAGE = DOCS / "howto" / "debug.md"
COMMANDS = [
    shlex.split(line.removeprefix("$ "))
    for block in blocks_of(PAGE)
    if block.language == "console"
    for line in block.text.splitlines()
]
NAMED = re.compile(
    r'check = "([^"]+)"|check, (?:group|seconds|url) = "([^"]+)"|(?:ok|failed|warning|skipped)\(\s*"([a-z ]+)"'
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_for_debugging_is_understood(command):
    program, script, name, *arguments = command
    assert (program, script) == ("python", "manage.py")
    load_command_class("django_fastws", name).create_parser(script, name).parse_args(arguments)


def test_every_check_of_the_doctor_is_in_the_table():
    text = (DOCS / "reference" / "commands.md").read_text("utf-8")
    section = text.partition("## `manage.py ws_doctor`")[2].partition("\n## ")[0]
    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }
    code = "\n".join(path.read_text("utf-8") for path in (ROOT / "django_fastws" / "doctor").glob("*.py"))
    named = {next(filter(None, groups)) for groups in NAMED.findall(code)}
    assert len(named) > 20
    assert named <= listed


def test_the_page_names_checks_that_there_are():
    reference = (DOCS / "reference" / "commands.md").read_text("utf-8")
    rows = re.findall(r"^- `([a-z ]+)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows
    assert all(f"`{name}`" in reference for name in rows)
