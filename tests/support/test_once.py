"""Tests of what is made once in a run."""

from types import SimpleNamespace

import pytest

from tests.support.once import made_once


class Factory(SimpleNamespace):
    """The temporary directories of one process of several."""

    def getbasetemp(self):
        return self.base

    def mktemp(self, name):
        path = self.base / f"{name}0"
        path.mkdir()
        return path


@pytest.fixture
def factories(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    found = [Factory(base=tmp_path / name) for name in ("gw0", "gw1")]
    for factory in found:
        factory.base.mkdir()
    return found


def test_the_first_makes_it_and_the_others_find_it(factories):
    one, other = factories
    found = made_once(one, "x", lambda path: (path / "file").write_text("made"))
    assert (found / "file").read_text() == "made"
    assert made_once(other, "x", lambda path: pytest.fail("it is made already")) == found


def test_what_was_not_finished_is_made_by_the_next(factories):
    one, other = factories

    def fail(path):
        (path / "file").write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        made_once(one, "x", fail)
    assert not list(made_once(other, "x", lambda path: None).iterdir())


def test_without_other_processes_it_is_among_the_directories_of_this_one(factories, monkeypatch):
    monkeypatch.delenv("PYTEST_XDIST_WORKER")
    assert made_once(factories[0], "x", lambda path: None).parent == factories[0].base
