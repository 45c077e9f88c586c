"""Results of checks, and what the exit status is."""

import pytest

from django_fastws.doctor.result import exit_status, failed, ok, skipped, summary, warning

ONE = {
    "ok": ok("layer", "it answers"),
    "warning": warning("layer", "it is slow", "move it"),
    "failed": failed("layer", "it is away", "start it"),
    "skipped": skipped("layer", "there is none"),
}


@pytest.mark.parametrize("status", ONE)
def test_a_result_has_four_words(status):
    row = ONE[status].as_dict()
    assert list(row) == ["check", "status", "detail", "hint"]
    assert row["status"] == status
    assert all(isinstance(value, str) for value in row.values())


@pytest.mark.parametrize(
    ("statuses", "expected"), [([], 0), (["ok", "warning", "skipped"], 0), (["ok", "failed", "ok"], 1)], ids=str
)
def test_only_what_has_failed_counts(statuses, expected):
    assert exit_status(ONE[status] for status in statuses) == expected


def test_the_summary_counts_the_worst_first():
    assert summary([ONE["ok"], ONE["failed"], ONE["ok"], ONE["skipped"]]) == "1 failed, 1 skipped, 2 ok"
