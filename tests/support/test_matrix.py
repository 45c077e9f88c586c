"""The matrix of supported versions: what its rows cover, how a row is run, and what is told in the end."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support import matrix
from tests.support.lowest import constraints
from tests.support.matrix import ROWS, Outcome, Row, find_python, main, run, summary
from tests.support.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def told(pattern: str) -> set[str]:
    return {match[1] for text in PROJECT["classifiers"] if (match := re.fullmatch(pattern, text))}


def constrained(name: str) -> list[Requirement]:
    found = (Requirement(line) for row in ROWS for line in row.lines())
    return [requirement for requirement in found if requirement.name.lower() == name]


def test_each_python_that_the_metadata_names_has_a_row():
    assert told(r"Programming Language :: Python :: (3\.\d+)") <= {row.python for row in ROWS}


def test_the_lowest_versions_are_a_row_on_the_lowest_python():
    (row,) = [row for row in ROWS if row.is_lowest]
    assert row.lines() == constraints()
    assert f">={row.python}" == PROJECT["requires-python"]


def test_the_newest_of_all_is_a_row_on_the_newest_python():
    newest = max((row.python for row in ROWS), key=Version)
    assert any(row.python == newest and not row.lines() for row in ROWS)


def test_the_lowest_django_has_a_row_with_its_last_patch():
    lowest = min(told(r"Framework :: Django :: (\d+\.\d+)"), key=Version)
    assert any(Version(f"{lowest}.999") in requirement.specifier for requirement in constrained("django"))


def test_each_major_version_of_redis_py_has_a_row():
    major = Version(importlib.metadata.version("redis")).major
    covered = {one for one in range(5, major) if any(f"{one}.9" in redis.specifier for redis in constrained("redis"))}
    assert covered == set(range(5, major))  # the newest is that of the rows which say nothing of it


def test_no_constraint_is_below_what_is_supported():
    wanted = {Requirement(text).name: Requirement(text) for text in PROJECT["dependencies"]}
    for row in ROWS:
        for line in row.constraints:
            (lower,) = Requirement(line).specifier
            assert f"{lower.version}.99" in wanted[Requirement(line).name].specifier


def test_names_of_rows_begin_with_their_python_and_stand_once():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.name.split("-")[0] == row.python for row in ROWS)


def python_in(directory: Path, version: str, status: int) -> Path:
    directory.mkdir(parents=True)
    python = directory / f"python{version}"
    python.write_text(f"#!/bin/sh\nexit {status}\n")
    python.chmod(0o755)
    return python


def test_a_python_that_only_fails_is_passed_over(tmp_path: Path):
    python_in(tmp_path / "shims", "3.12", 127)
    real = python_in(tmp_path / ".pyenv" / "versions" / "3.12.1" / "bin", "3.12", 0)
    assert find_python("3.12", str(tmp_path / "shims"), tmp_path) == str(real)
    assert find_python("3.13", str(tmp_path / "shims"), tmp_path) is None


@pytest.mark.slow
def test_the_python_of_the_tests_is_found():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert find_python(version, str(Path(sys.executable).parent), Path("/nowhere")) is not None
    assert find_python("2.0", str(Path(sys.executable).parent), Path("/nowhere")) is None


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A ``make`` that writes down how it was called, and ends as it is told."""
    monkeypatch.setattr(matrix, "ROOT", tmp_path)
    monkeypatch.setattr(matrix, "_ENVIRONMENTS", tmp_path / ".venvs")
    monkeypatch.setattr(matrix, "find_python", lambda version: None if version == "3.14" else f"/python{version}")

    def made(printed: str, status: int) -> Path:
        program = tmp_path / "make"
        lines = f'echo "$@" >>{tmp_path}/called; cp "$PIP_CONSTRAINT" {tmp_path}/constraints; echo "{printed}"'
        program.write_text(f"#!/bin/sh\n{lines}\nexit {status}\n")
        program.chmod(0o755)
        monkeypatch.setenv("MAKE", str(program))
        return tmp_path

    return made


def test_a_row_is_run_in_its_environment_with_its_constraints(make, capsys):
    directory = make("2 failed, 30 passed, 1 skipped, 1 error in 2.5s", 2)
    outcome = run(Row("3.12-old", "3.12", ("django~=5.2.0", "redis~=6.0")), "test")
    assert (directory / "called").read_text() == "test VENV=.venvs/3.12-old PYTHON=/python3.12\n"
    assert (directory / "constraints").read_text() == "django~=5.2.0\nredis~=6.0\n"
    assert (outcome.result, outcome.counts) == ("failed", {"failed": 2, "passed": 30, "skipped": 1, "error": 1})
    assert "30 passed" in capsys.readouterr().out


def test_selected_rows_are_run_and_the_table_says_what_became_of_them(make, capsys):
    directory = make("31 passed in 2.5s", 0)
    assert main(["--fast", "3.13", "3.14"]) == 0
    assert (directory / "called").read_text().startswith("test-fast-redis VENV=.venvs/3.13 ")
    *_, first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"3\.13 .* 31 .* passed", first)
    assert re.fullmatch(r"3\.14 +skipped: no Python 3\.14 here", second)


def test_a_row_that_fails_is_the_exit_status_and_so_is_nothing_at_all(make, capsys):
    make("1 failed in 2.5s", 2)
    assert main(["3.13"]) == 1
    assert main(["3.14"]) == 1
    with pytest.raises(SystemExit):
        main(["3.99"])
    assert "3.11-lowest" in capsys.readouterr().err  # those that there are


def test_versions_are_in_the_table():
    outcome = Outcome(ROWS[0], "passed", 90, {"passed": 5}, {"django": "5.2", "redis": "5.0.1"})
    head, row = (line.split() for line in summary([outcome]).splitlines())
    assert head[:2] == ["row", "django"]
    assert row == [ROWS[0].name, "5.2", "5.0.1", "5", "0", "0", "1.5", "passed"]


def test_every_target_of_the_matrix_is_one_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in ("test", "test-fast-redis"))
