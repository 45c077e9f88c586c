"""Limits of a machine, and what is enough."""

import pytest

from django_fastws.doctor import machine
from django_fastws.doctor.machine import judge_descriptors, look_at_machine

LIMITS = {
    "none": ((10, None, None), "ok"),
    "plenty": ((10, 65_536, None), "ok"),
    "the default of a shell": ((10, 1024, None), "warning"),
    "as many as are let in": ((10, 1024, 500), "ok"),
    "fewer than are let in": ((10, 1024, 1000), "failed"),
    "hardly any": ((10, 256, None), "failed"),
    "nearly all are open": ((60_000, 65_536, None), "failed"),
    "nobody knows how many are open": ((None, 65_536, None), "ok"),
}


@pytest.mark.parametrize("case", LIMITS)
def test_descriptors(case):
    (opened, limit, most), status = LIMITS[case]
    result = judge_descriptors("descriptors", "It", opened, limit, most)
    assert result.status == status
    assert bool(result.hint) == (status != "ok")


async def test_each_limit_is_looked_at():
    assert [result.check for result in await look_at_machine()] == ["descriptors", "backlog", "temporary files"]


@pytest.mark.parametrize(("text", "status"), [("128\n", "warning"), ("4096\n", "ok"), ("?", "skipped")])
async def test_the_backlog(tmp_path, monkeypatch, text, status):
    (tmp_path / "somaxconn").write_text(text)
    monkeypatch.setattr(machine, "_SOMAXCONN", tmp_path / "somaxconn")
    assert [result.status for result in await look_at_machine() if result.check == "backlog"] == [status]


async def test_temporary_files_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert [result.status for result in await look_at_machine() if result.check == "temporary files"] == ["failed"]
