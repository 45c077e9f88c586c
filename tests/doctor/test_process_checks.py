"""What is made of the answers of processes."""

import pytest

from django_fastws.doctor.process_checks import SeenProcess, judge_clocks, judge_processes, look_at_processes

VERSIONS = {"django_fastws": "1.0", "django": "5.2"}


def process(name="a", *, round_trip=0.001, skew=0.0, error="", versions=VERSIONS, limit=65_536, draining=False):
    facts = {
        "kind": "server",
        "host": name,
        "pid": 1,
        "draining": draining,
        "versions": versions,
        "descriptors": {"open": 10, "limit": limit},
    }
    return SeenProcess(f"{name}:1:x", {} if error else facts, error, round_trip, None if error else skew)


def statuses(results):
    return [(result.check, result.status) for result in results]


def test_each_process_has_its_lag():
    results = judge_processes([process("a"), process("b", round_trip=1.0)], 0)
    assert statuses(results) == [
        ("processes", "ok"),
        ("lag", "ok"),
        ("descriptors", "ok"),
        ("lag", "warning"),
        ("descriptors", "ok"),
        ("versions", "ok"),
    ]
    assert "a:1" in results[1].detail
    assert "b:1" in results[3].detail


def test_partial_answers_are_shown_as_such():
    first = judge_processes([process("a")], 2)[0]
    assert first.status == "failed"
    assert "Partial: 1 of 3" in first.detail


def test_where_nobody_counts_it_is_said():
    assert "does not tell how many" in judge_processes([process("a")], 0, is_counted=False)[0].detail


def test_nobody_who_answers_is_a_warning_and_all_who_do_not_are_a_failure():
    assert statuses(judge_processes([], 0)) == [("processes", "warning")]
    assert statuses(judge_processes([], 1)) == [("processes", "failed")]


def test_one_that_fails_to_answer():
    results = judge_processes([process("a", error="KeyError: 'page'")], 0)
    assert ("lag", "failed") in statuses(results)


def test_another_release_is_a_warning():
    results = judge_processes([process("a"), process("b", versions={"django_fastws": "2.0"})], 0)
    assert statuses(results)[-1] == ("versions", "warning")
    assert "a:1" in results[-1].detail


def test_the_descriptors_of_each():
    assert ("descriptors", "failed") in statuses(judge_processes([process("a", limit=100)], 0))


def test_one_that_drains_is_no_fault():
    result = judge_processes([process("a", draining=True)], 0)[1]
    assert result.status == "ok"
    assert "drains" in result.detail


@pytest.mark.parametrize(
    ("skews", "layer", "status"),
    [
        ([], None, "skipped"),
        ([0.01, -0.01], 0.0, "ok"),
        ([0.0], 5.0, "warning"),
        ([2.0], None, "warning"),
        ([-0.9, 0.9], None, "warning"),
        ([0.0, -120.0], 0.0, "failed"),
    ],
    ids=str,
)
def test_clocks(skews, layer, status):
    result = judge_clocks([process(str(at), skew=skew) for at, skew in enumerate(skews)], layer)
    assert result.status == status
    assert bool(result.hint) == (status in ("warning", "failed"))


async def test_a_layer_that_ends_here_reaches_nobody():
    results = await look_at_processes(None, is_shared=False)
    assert {result.status for result in results} == {"skipped"}
