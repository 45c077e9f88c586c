"""Which place in the code is said to block, by the frames of a stack."""

from __future__ import annotations

import json
import sys
from types import FrameType
from typing import Any

import pytest

from django_fastws._core.blocking_places import blocking_place, frames_of, is_debugged


def here() -> list[FrameType]:
    """The frames of whoever calls this, and its own."""
    return frames_of(sys._getframe())


def called_by(module: str, file: str) -> list[FrameType]:
    """The frames of code of another module and file, called from here."""
    namespace: dict[str, Any] = {"__name__": module, "here": here}
    exec(compile("def look():\n    return here()[:-1]", file, "exec"), namespace)
    frames: list[FrameType] = namespace["look"]()
    return frames


def test_frames_begin_with_the_outermost():
    frames = here()
    assert [frame.f_code.co_name for frame in frames[-2:]] == ["test_frames_begin_with_the_outermost", "here"]
    assert frames_of(None) == []


def test_the_place_is_of_the_project_and_says_what_that_has_called():
    place = blocking_place(called_by("shop.models", "/venv/site-packages/django/db/models/query.py"))
    assert place.name == f"{place.file}:{place.line}"
    assert (place.file, place.function) == ("tests/core/test_blocking_places.py", "called_by")
    assert place.inside == "/venv/site-packages/django/db/models/query.py:2 look()"
    assert place.text.endswith(f" in called_by(): return frames (just now in {place.inside})")


def test_what_the_project_does_itself_is_in_nothing_else():
    place = blocking_place(here()[:-1])
    assert (place.function, place.inside) == ("test_what_the_project_does_itself_is_in_nothing_else", "")
    assert place.text == f"{place.name} in {place.function}(): place = blocking_place(here()[:-1])"


@pytest.mark.parametrize("file", [json.__file__, "<frozen importlib._bootstrap>", "/x/dist-packages/redis/client.py"])
def test_where_nothing_is_the_projects_the_place_is_what_runs(file: str):
    (frame,) = called_by("anything", file)[-1:]
    place = blocking_place([frame])
    assert (place.file, place.line, place.function, place.inside) == (file, 2, "look", "")


@pytest.mark.parametrize("module", ["pdb", "bdb", "debugpy.server", "_pydevd_bundle.pydevd_frame", "pydevd"])
def test_a_debugger_is_known(module: str):
    assert is_debugged(called_by(module, "/x.py"))


def test_what_is_traced_is_debugged():
    frames = here()
    if sys.gettrace() is None:
        assert not is_debugged(frames)
    frames[-1].f_trace = lambda *_: None
    assert is_debugged(frames)
