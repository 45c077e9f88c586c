"""The lowest versions of dependencies, on which ``make test-matrix`` runs the tests, too."""

from __future__ import annotations

from importlib.metadata import requires, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.lowest import constraints

# The first without a known hole: tokens that follow redirects; gigabytes for a small message; answers in wrong order.
WITHOUT_HOLES = {"websockets": "17.2", "autobahn": "26.7.1", "twisted": "24.7"}


def lowest():
    return {name: Version(number) for name, _, number in (line.partition("==") for line in constraints())}


def test_every_dependency_has_a_lowest_version_and_it_is_that_of_the_constraints():
    for text in requires("django-fastws") or ():
        requirement = Requirement(text)
        assert lowest()[requirement.name.lower()] in requirement.specifier, text


@pytest.mark.parametrize("name", WITHOUT_HOLES)
def test_no_version_with_a_known_hole_is_taken(name):
    assert lowest()[name] >= Version(WITHOUT_HOLES[name])


def test_what_is_installed_is_no_older():
    for name, number in lowest().items():
        assert Version(version(name)) >= number


def test_the_matrix_has_a_row_of_the_lowest_versions():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text("utf-8")
    assert "3.11/lowest" in makefile
    assert "tests.lowest >" in makefile
