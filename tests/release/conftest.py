"""Archives to look at, and environments in which nothing but them is installed."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.building import Archives, build, pack, run_npm
from tests.support import node
from tests.support.once import made_once

#: A directory of archives that are there already: those of ``make dist``. What is installed then is from the index.
BUILT = os.environ.get("FASTWS_TESTS_DIST")


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Archives:
    """What is released, built once in a run."""

    def make(directory: Path) -> None:
        build(directory)
        if node.find():
            pack(directory)

    return Archives(Path(BUILT)) if BUILT else Archives(made_once(tmp_path_factory, "archives", make))


@pytest.fixture(
    params=["wheel", pytest.param("sdist", marks=pytest.mark.skipif(not BUILT, reason="`make dist` does"))]
)
def installed(request: pytest.FixtureRequest, archives: Archives, tmp_path: Path) -> Path:
    """The Python of an environment with the package, its dependencies, and nothing else.

    That the wheel is the one that is built from the sdist, another test shows.
    """
    archive = getattr(archives, request.param)
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(python),
        "install",
        "--quiet",
    ]
    if not BUILT:
        (packages,) = environment.glob("lib/python*/site-packages")
        link_dependencies(packages)
        command += ["--no-index", "--no-deps", "--no-compile"]
    done = subprocess.run([*command, str(archive.resolve())], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    return python


@pytest.fixture
def npm_project(archives: Archives, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """An npm project in which nothing but the package is installed."""

    def make(directory: Path) -> None:
        (directory / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
        run_npm("install", "--ignore-scripts", str(archives.npm.resolve()), directory=directory)

    made = made_once(tmp_path_factory, "npm-project", make)
    project = tmp_path / "npm"
    project.mkdir()
    (project / "package.json").write_bytes((made / "package.json").read_bytes())
    (project / "node_modules").symlink_to(made / "node_modules")
    return project


def link_dependencies(packages: Path) -> None:
    """Make links to what the package requires, and what that does, in a directory for packages."""
    for distribution in map(importlib.metadata.distribution, required()):
        for name in {file.parts[0] for file in distribution.files or ()} - {".."}:
            link = packages / name
            if not link.is_symlink():  # of several with one namespace, such as zope
                link.symlink_to(Path(str(distribution.locate_file(name))))


def required(name: str = "django-fastws") -> set[str]:
    """The names of the distributions that one requires without its extras, and of those that they require."""
    found: set[str] = set()
    pending = [*_requirements(name, frozenset())]
    seen = set()
    while pending:
        requirement = pending.pop()
        key = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if key not in seen:
            seen.add(key)
            found.add(key[0])
            pending += _requirements(*key)
    return found


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in importlib.metadata.requires(name) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield requirement
