"""The page of versions says what the code and its tools say; its table of packages is made, and compared as such."""

from __future__ import annotations

import json
import re

from django_fastws._core.envelope import VERSION
from django_fastws._core.live_frames import SUBPROTOCOL
from django_fastws.doctor.layer_checks import OLDEST_REDIS
from tests.docs.blocks import DOCS
from tests.support import node
from tests.support.interpreter import ROOT
from tests.support.matrix import ROWS

PAGE = " ".join((DOCS / "reference" / "versions.md").read_text("utf-8").split())


def test_node_and_the_javascript_of_the_client():
    options = json.loads((ROOT / "tests" / "js" / "tsconfig.json").read_text("utf-8"))["compilerOptions"]
    assert f"Node | {node.OLDEST} or newer" in PAGE
    assert f"know {options['target'].upper()}:" in PAGE
    assert f"ecmaVersion: {options['target'].removeprefix('es')}," in (ROOT / "tests/js/eslint.config.js").read_text()


def test_redis():
    assert f"Redis | {'.'.join(map(str, OLDEST_REDIS))} or newer" in PAGE


def test_the_protocol_and_the_envelope():
    assert f"`{SUBPROTOCOL}`" in PAGE
    assert f"Each envelope has a version, now `{VERSION}`" in PAGE


def test_rows_of_the_matrix_are_what_it_says():
    assert any(line == "django~=5.2.0" for row in ROWS for line in row.lines())
    assert "last 5.2 and the newest Django" in PAGE
    lowest_redis = min(
        int(match) for row in ROWS for match in re.findall(r"^redis~=(\d+)", "\n".join(row.lines()), re.MULTILINE)
    )
    assert f"redis-py of each major version from {lowest_redis} on" in PAGE
