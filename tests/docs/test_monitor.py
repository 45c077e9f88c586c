"""The page on monitoring: its commands, and what it says of names."""

from __future__ import annotations

import re
import shlex
import tomllib

import pytest
from django.core.management import load_command_class

from django_fastws.metrics import all_metrics
from tests.docs.blocks import DOCS, blocks_of, pages
from tests.support.processes import ROOT

PAGE = DOCS / "howto" / "monitor.md"
COMMANDS = [
    shlex.split(line.removeprefix("$ "))
    for block in blocks_of(PAGE)
    if block.language == "console"
    for line in block.text.splitlines()
    if line.startswith("$ ")
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_of_the_page_is_understood(command):
    if command[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        (extra,) = re.findall(r"^django-fastws\[(\w+)\]$", command[2])
        assert extra in extras
    else:
        program, script, name, *arguments = command
        assert (program, script) == ("python", "manage.py")
        load_command_class("django_fastws", name).create_parser(script, name).parse_args(arguments)


def test_names_of_metrics_are_those_of_the_table():
    text = PAGE.read_text("utf-8")
    parts = {f"{metric.exposed}{part}" for metric in all_metrics() for part in ("", "_bucket")}
    assert set(re.findall(r"\bfastws_[a-z_]+", text)) <= parts
    names = {f"fastws.{metric.name}" for metric in all_metrics()}
    assert set(re.findall(r"`(fastws\.\w+)", text)) <= names


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_metric_that_a_page_names_is_in_the_table(page):
    text = re.sub(r"\s+", " ", page.read_text("utf-8"))
    named = set(re.findall(r"\bmetrics? \[?`([a-z_]+)`", text))
    assert page.name == "changelog.md" or named <= {metric.name for metric in all_metrics()}
