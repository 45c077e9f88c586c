"""What the page on outbound routes says of systemd and of containers."""

from __future__ import annotations

import configparser
import json
import shlex

from django.core.management import get_commands

from django_fastws.conf import conf
from tests.docs.blocks import DOCS, blocks_of

[UNIT] = [block.text for block in blocks_of(DOCS / "howto/outbound.md") if block.language == "ini"]
[IMAGE] = [block.text for block in blocks_of(DOCS / "howto/outbound.md") if block.language == "dockerfile"]


def test_the_unit_stops_in_order():
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str
    unit.read_string(UNIT)
    assert set(unit) == {"DEFAULT", "Unit", "Service", "Install"}
    program, script, command = shlex.split(unit["Service"]["ExecStart"])
    assert program.startswith(unit["Service"]["WorkingDirectory"] + "/")
    assert script == "manage.py"
    assert command in get_commands()
    assert int(unit["Service"]["TimeoutStopSec"]) > conf.drain_seconds


def test_the_container_passes_signals_on():
    instructions = [line.split(maxsplit=1) for line in IMAGE.splitlines() if line]
    assert [name for name, _ in instructions] == ["FROM", "WORKDIR", "COPY", "RUN", "COPY", "CMD"]
    *_, command = json.loads(instructions[-1][1])  # the form without a shell
    assert command in get_commands()
