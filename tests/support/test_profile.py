"""What Hypothesis is told, once for all tests: tests/conftest.py."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.examples import AT_RANDOM
from tests.support.processes import ROOT

#: What the profile decides, and no test for itself: else one test would make a run red by chance, or by being slow.
OF_THE_PROFILE = {"database", "deadline", "derandomize"}
PROFILES = {"tests/conftest.py", "tests/server/daphne_suite.py"}  # the second is loaded where daphne's own tests run


def decided_by_tests() -> Iterator[str]:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        if name in PROFILES or "hypothesis" not in text:
            continue
        for call in ast.walk(ast.parse(text)):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("settings"):
                yield from (f"{name}:{call.lineno} {one.arg}" for one in call.keywords if one.arg in OF_THE_PROFILE)


def test_no_test_decides_what_the_profile_does():
    assert list(decided_by_tests()) == []


def tried() -> list[int]:
    values: list[int] = []

    @given(st.integers())
    def run(value: int) -> None:
        values.append(value)

    run()
    return values


def test_examples_are_the_same_in_each_run_unless_asked_for_at_random():
    first = tried()
    assert (first == tried()) is not AT_RANDOM
    assert len(first) == settings().max_examples
