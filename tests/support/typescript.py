"""The TypeScript compiler that npm has installed, on code beside the browser client."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.support import node
from tests.support.client_size import CLIENT

__all__ = ["errors_of"]

_TSC = node.MODULES / "typescript" / "bin" / "tsc"
_OPTIONS = ["--noEmit", "--strict", "--target", "es2022", "--module", "esnext"]
_OPTIONS += ["--moduleResolution", "bundler", "--types", ""]
_ERROR = re.compile(r"([\w.]+)\((\d+),\d+\): error (.*)")


def errors_of(directory: Path, code: str, declarations: str) -> dict[int, str]:
    """What the compiler says of a page's code, by line.

    Args:
        directory: an empty one, to work in.
        declarations: of the rooms.
    Raises:
        AssertionError: there are errors elsewhere.
    """
    for path in CLIENT.parent.glob("fastws.*"):
        shutil.copy(path, directory)
    (directory / "rooms.d.ts").write_text(declarations, "utf-8")
    (directory / "main.ts").write_text(code, "utf-8")
    done = node.run(str(_TSC), *_OPTIONS, "main.ts", "rooms.d.ts", cwd=directory)
    found = [match for line in done.stdout.splitlines() if (match := _ERROR.match(line))]
    assert {match[1] for match in found} <= {"main.ts"}, done.stdout
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return {int(match[2]): match[3] for match in found}
