"""What is released: ``python -m tests.release.building DIRECTORY`` builds it, as ``make dist`` does.

It builds the sdist, the wheel from that, and the package for npm, from what is committed, and again from the sdist in
another directory, which must give the same bytes.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

import django_fastws
from tests.support import node
from tests.support.client_size import CLIENT
from tests.support.interpreter import ROOT

__all__ = ["NOT_RELEASED", "Archives", "build", "git", "has_git", "main", "npm_version", "pack", "rebuild"]

#: What is committed, and in no archive.
NOT_RELEASED = {".ci", ".gitignore", "Makefile", "bench", "tests"}
_PRE_RELEASES = {"a": "alpha", "b": "beta", "rc": "rc"}


@dataclass(frozen=True)
class Archives:
    """A directory with an sdist, a wheel, and a package for npm where there is Node."""

    directory: Path

    @property
    def sdist(self) -> Path:
        return self._one("*[0-9].tar.gz")

    @property
    def wheel(self) -> Path:
        return self._one("*.whl")

    @property
    def npm(self) -> Path:
        return self._one("*.tgz")

    def _one(self, pattern: str) -> Path:
        (found,) = self.directory.glob(pattern)
        return found

    def in_sdist(self) -> dict[str, bytes]:
        """The files of the sdist, by their paths below its folder."""
        return _in_tar(self.sdist)

    def in_npm(self) -> dict[str, bytes]:
        """The files of the package for npm, by their paths below its folder."""
        return _in_tar(self.npm)

    def in_wheel(self) -> dict[str, bytes]:
        """The files of the wheel."""
        with zipfile.ZipFile(self.wheel) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}


def _in_tar(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        files = {member.name: archive.extractfile(member) for member in archive if not member.isdir()}
        return {name.partition("/")[2]: file.read() for name, file in files.items() if file is not None}


def has_git() -> bool:
    """Whether this is a clone, of which git says what is committed."""
    return (ROOT / ".git").exists() and shutil.which("git") is not None


def git(*arguments: str) -> list[str]:
    """The lines that git prints about this clone."""
    command = ["git", "-c", "core.quotePath=off", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def build(directory: Path, source: Path = ROOT, *, is_isolated: bool = False) -> Archives:
    """Build an sdist, and a wheel from that.

    Args:
        is_isolated: with the build requirements of pyproject.toml, from the index; else with what is installed here.
    """
    command = [sys.executable, "-m", "build", "--outdir", str(directory), str(source)]
    _run([*command, *([] if is_isolated else ["--no-isolation"])], source)
    return Archives(directory)


def rebuild(archives: Archives, *, is_isolated: bool = False) -> list[str]:
    """Build once more, from the sdist and in another directory; the names of archives that are not the same."""
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(archives.sdist) as sdist:
            sdist.extractall(directory, filter="data")
        (source,) = Path(directory).iterdir()
        again = build(Path(directory) / "again", source, is_isolated=is_isolated)
        pairs = ((archives.sdist, again.sdist), (archives.wheel, again.wheel))
        return [first.name for first, second in pairs if not filecmp.cmp(first, second, shallow=False)]


def npm_version(version: str) -> str:
    """A version of this package as npm writes it: ``0.2.0-rc.1`` for ``0.2.0rc1``."""
    parsed = Version(version)
    if parsed.dev is not None:
        return f"{parsed.base_version}-dev.{parsed.dev}"
    if parsed.pre is None:
        return parsed.base_version
    return f"{parsed.base_version}-{_PRE_RELEASES[parsed.pre[0]]}.{parsed.pre[1]}"


def pack(directory: Path) -> Path:
    """Pack the browser client for npm: its folder as it lies, with the licence.

    Raises:
        ValueError: its version is not that of the package.
    """
    version = json.loads((CLIENT.parent / "package.json").read_text("utf-8"))["version"]
    if version != npm_version(django_fastws.__version__):
        raise ValueError(f"{CLIENT.parent / 'package.json'}: {version} is not {django_fastws.__version__}")
    with tempfile.TemporaryDirectory() as staged:
        folder = Path(staged) / "client"
        shutil.copytree(CLIENT.parent, folder)
        shutil.copy(ROOT / "LICENSE", folder)
        run_npm("pack", "--pack-destination", str(directory.resolve()), directory=folder)
    return Archives(directory).npm


def run_npm(*arguments: str, directory: Path) -> None:
    """Run npm in a directory, without the registry.

    Raises:
        FileNotFoundError: there is no Node.js.
    """
    found = node.find()
    if found is None:
        raise FileNotFoundError("no Node.js with npm")
    environment = {**node.environment(found), "npm_config_cache": str(directory / ".npm")}
    _run([str(found / "npm"), *arguments, "--offline", "--no-audit", "--no-fund"], directory, environment)


def _run(command: Sequence[str], directory: Path, environment: Mapping[str, str] | None = None) -> None:
    variables = {**os.environ, "SOURCE_DATE_EPOCH": _epoch(), **(environment or {})}
    done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _epoch() -> str:
    """The time of all files: that of the last commit."""
    return git("log", "-1", "--format=%ct")[0] if has_git() else "1580601600"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build all, into an empty directory; the exit status."""
    parser = argparse.ArgumentParser(prog="make dist", description="Build what is released.")
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args(arguments).directory
    if changed := git("status", "--porcelain"):
        print("not committed, and released it must be:", *changed, sep="\n", file=sys.stderr)
        return 1
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    archives = build(directory, is_isolated=True)
    pack(directory)
    if differing := rebuild(archives, is_isolated=True):
        print(f"built again from the sdist, not the same: {', '.join(differing)}", file=sys.stderr)
        return 1
    for path in (archives.sdist, archives.wheel, archives.npm):
        print(f"{path}: {path.stat().st_size:,} bytes")
    tag = f"v{django_fastws.__version__}"
    head = rf"^## {re.escape(django_fastws.__version__)} - \d{{4}}-\d\d-\d\d$"
    if not re.search(head, (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE):
        print(f"no release yet: CHANGELOG.md has no section {django_fastws.__version__} with a date", file=sys.stderr)
    elif tag not in git("tag", "--points-at", "HEAD"):
        print(f"no release yet: this commit has no tag {tag}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
