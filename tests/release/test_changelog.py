"""The changelog has the form that a release needs: versions with their days, kinds of changes, newest first."""

from __future__ import annotations

import re
from datetime import date

from packaging.version import Version

from tests.support.interpreter import ROOT

TEXT = (ROOT / "CHANGELOG.md").read_text("utf-8")
KINDS = {"Security", "Removed", "Deprecated", "Changed", "Fixed", "Added"}


def test_sections_are_what_is_unreleased_and_versions_with_their_days():
    first, *others = re.findall(r"^## (.+)$", TEXT, re.MULTILINE)
    released = [*([] if first == "Unreleased" else [first]), *others]
    versions = [re.fullmatch(r"(\S+) - (\d{4}-\d\d-\d\d)", head) for head in released]
    assert all(versions), released
    numbers = [Version(match[1]) for match in versions if match]
    assert numbers == sorted(set(numbers), reverse=True)
    assert all(date.fromisoformat(match[2]) for match in versions if match)


def test_changes_are_of_known_kinds_each_once_in_a_section():
    for section in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]:
        kinds = re.findall(r"^### (.+)$", section, re.MULTILINE)
        assert set(kinds) <= KINDS
        assert len(set(kinds)) == len(kinds)


def test_each_change_is_a_point_that_begins_with_its_subject():
    points = re.findall(r"^- (.+)$", TEXT, re.MULTILINE)
    assert points
    assert [point for point in points if not point.startswith("**")] == []
