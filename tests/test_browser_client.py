"""The browser client: its own tests, under Node's test runner, and what it is as a static file and a package."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core.files.storage import FileSystemStorage

import django_fastws
from tests.release.building import npm_version
from tests.support import node
from tests.support.client_size import CLIENT, LIMIT, compressed_size
from tests.support.processes import ROOT

TESTS = sorted(path.name for path in (ROOT / "tests" / "js").glob("*.test.js"))
STATIC = CLIENT.parent


def test_there_are_tests_in_javascript():
    assert len(TESTS) > 2


@pytest.mark.long
@pytest.mark.node
@pytest.mark.slow
@pytest.mark.parametrize("file", TESTS)
def test_the_client_passes(file: str):
    directory = node.find()
    assert directory is not None
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", f"tests/js/{file}"],
        cwd=ROOT,
        env=node.environment(directory),
        capture_output=True,
        text=True,
        timeout=240,
    )
    counted = dict(re.findall(r"^# (pass|fail|skipped|todo) (\d+)$", done.stdout, re.MULTILINE))
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(counted.pop("pass")) > 10
    assert set(counted.values()) == {"0"}, done.stdout


def test_it_is_small():
    assert compressed_size() <= LIMIT


def test_it_imports_nothing_and_is_found_by_staticfiles():
    assert not re.search(r"^\s*(import|export .* from)\b|\bimport\(|\brequire\(", CLIENT.read_text(), re.MULTILINE)
    assert finders.find("django_fastws/fastws.js") == str(CLIENT)


def test_names_with_hashes_are_made_of_it(tmp_path: Path):
    class Storage(ManifestStaticFilesStorage):
        support_js_module_import_aggregation = True  # then Django looks for imports, in comments too

    storage = Storage(location=tmp_path, base_url="/static/")
    paths = {path.name: (FileSystemStorage(STATIC), path.name) for path in STATIC.iterdir()}
    for name in paths:
        (tmp_path / name).write_bytes((STATIC / name).read_bytes())
    assert [error for *_, error in storage.post_process(paths) if isinstance(error, Exception)] == []
    assert re.fullmatch(r"/static/fastws\.[0-9a-f]{12}\.js", storage.url("fastws.js", force=True))


def test_the_package_for_npm_is_this_folder():
    package = json.loads((STATIC / "package.json").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert package["version"] == npm_version(django_fastws.__version__)
    assert package["license"] == project["license"]
    assert "scripts" not in package
    assert "dependencies" not in package
    assert [name for name in package["files"] if not (STATIC / name).is_file()] == []
    assert package["exports"] == {".": {"types": "./fastws.d.ts", "default": "./fastws.js"}}


def test_tools_of_npm_are_locked_without_a_registry():
    manifest = json.loads((ROOT / "tests" / "js" / "package.json").read_text())
    lock = json.loads((ROOT / "tests" / "js" / "package-lock.json").read_text())
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in manifest["devDependencies"].values())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert [name for name, package in lock["packages"].items() if name and "integrity" not in package] == []
