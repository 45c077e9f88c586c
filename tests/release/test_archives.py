"""What is in the archives: all that is committed of what is released, nothing else, and metadata that is true."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.metadata import Metadata
from packaging.requirements import Requirement
from readme_renderer import markdown
from trove_classifiers import classifiers

import django_fastws
from tests.docs.blocks import README
from tests.release.building import NOT_RELEASED, Archives, git, has_git, npm_version, rebuild
from tests.release.conftest import BUILT
from tests.support.client_size import CLIENT
from tests.support.interpreter import ROOT
from tests.support.matrix import ROWS

pytestmark = pytest.mark.slow

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
of_git = pytest.mark.skipif(not has_git(), reason="no clone, of which git knows the files")
#: What the tools add.
OF_SDIST = {"PKG-INFO", ".gitignore"}


def committed(*names: str) -> set[str]:
    """The files that are committed and there, below some paths."""
    return {name for name in git("ls-files", *names) if (ROOT / name).is_file()}


def new() -> set[str]:
    """Files that are not committed yet, and not ignored."""
    return set(git("ls-files", "--others", "--exclude-standard"))


@of_git
def test_the_wheel_has_each_file_of_the_package_and_nothing_else(archives: Archives):
    files = archives.in_wheel()
    there = {name for name in files if ".dist-info/" not in name}
    assert sorted(committed("django_fastws") - there) == []
    assert sorted(there - committed("django_fastws") - new()) == []
    assert {name for name in there if files[name] != (ROOT / name).read_bytes()} == set()


@of_git
def test_the_sdist_has_each_file_but_what_tests_and_measures(archives: Archives):
    files = archives.in_sdist()
    wanted = {name for name in committed() if name.partition("/")[0] not in NOT_RELEASED}
    assert sorted(wanted - set(files)) == []
    assert sorted(set(files) - wanted - OF_SDIST - new()) == []
    assert {name for name in wanted if files[name] != (ROOT / name).read_bytes()} == set()


def test_there_is_what_is_no_python(archives: Archives):
    """The lists above are made of the same rule; so that an empty one does not pass."""
    endings = {name.rpartition(".")[2] for name in archives.in_wheel()}
    assert {"html", "js", "ts", "css", "json", "typed"} <= endings
    assert "django_fastws/migrations/0001_histories.py" in archives.in_wheel()


def test_an_archive_that_is_built_again_is_the_same(archives: Archives):
    """From the sdist, in another directory: so the wheel of the one is that of the other, too."""
    assert rebuild(archives, is_isolated=bool(BUILT)) == []


def metadata(archives: Archives) -> Metadata:
    (text,) = (content for name, content in archives.in_wheel().items() if name.endswith(".dist-info/METADATA"))
    return Metadata.from_email(text)


def test_the_metadata_is_that_of_the_project(archives: Archives):
    found = metadata(archives)
    assert (found.name, str(found.version)) == (PROJECT["name"], django_fastws.__version__)
    assert str(found.requires_python) == PROJECT["requires-python"]
    assert found.license_expression == PROJECT["license"]
    always = {str(one) for one in found.requires_dist or () if one.marker is None}
    assert always == {str(Requirement(text)) for text in PROJECT["dependencies"]}
    assert set(found.provides_extra or ()) == set(PROJECT["optional-dependencies"])
    assert any(name.endswith("licenses/LICENSE") for name in archives.in_wheel())


def test_classifiers_are_those_of_the_index_and_of_the_matrix(archives: Archives):
    told = set(metadata(archives).classifiers or ())
    assert told <= classifiers
    pythons = {one.rpartition(" ")[2] for one in told if re.search(r":: Python :: 3\.\d+$", one)}
    assert pythons <= {row.python for row in ROWS}
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in pythons


def test_the_index_shows_the_description(archives: Archives):
    """The README, without links that lead nowhere there; its code as it is."""
    told = metadata(archives).description or ""
    assert re.findall(r"\]\((?!https?:)", re.sub(r"```.*?```", "", told, flags=re.DOTALL)) == []
    code = re.compile(r"^```\w+\n.*?^```$", re.MULTILINE | re.DOTALL)
    assert code.findall(told) == code.findall(README.read_text("utf-8"))
    assert "<!--" not in told
    shown = markdown.render(told)
    assert shown is not None
    assert shown.count("<h2") == README.read_text("utf-8").count("\n## ")
    assert "<table>" in shown


def test_twine_takes_the_archives(archives: Archives):
    command = [sys.executable, "-m", "twine", "check", "--strict", archives.wheel, archives.sdist]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.node
def test_the_package_for_npm_has_the_client_its_types_and_the_licence(archives: Archives):
    files = archives.in_npm()
    assert set(files) == {"LICENSE", "README.md", "fastws.d.ts", "fastws.js", "package.json"}
    assert {
        name for name in files if name != "LICENSE" and files[name] != (CLIENT.parent / name).read_bytes()
    } == set()


@pytest.mark.parametrize(
    ("version", "npm"),
    [
        ("0.1.0", "0.1.0"),
        ("1.2.3a4", "1.2.3-alpha.4"),
        ("1.2.3b4", "1.2.3-beta.4"),
        ("1.2.3rc4", "1.2.3-rc.4"),
        ("1.2.3.dev4", "1.2.3-dev.4"),
    ],
)
def test_a_version_as_npm_writes_it(version: str, npm: str):
    assert npm_version(version) == npm
