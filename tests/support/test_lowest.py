"""The lowest versions of dependencies, on which ``make test-matrix`` runs the tests, too."""

from __future__ import annotations

import tomllib
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.support.lowest import constraints
from tests.support.processes import ROOT

# The first without a known hole: tokens that follow redirects; gigabytes for a small message; answers in wrong order
# (CVE-2024-41671). pyproject.toml may ask for more.
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


def test_no_group_of_tools_asks_for_more_than_the_package():
    """Else the lowest versions could not be installed with it."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    for text in (entry for group in groups.values() for entry in group if isinstance(entry, str)):
        requirement = Requirement(text)
        if requirement.name in lowest():
            assert lowest()[requirement.name] in requirement.specifier, text
