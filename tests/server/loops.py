"""Tests that run on every event loop of the server; all others run on uvloop, which is the default where it is."""

from __future__ import annotations

from typing import Any

import pytest

__all__ = ["both_loops", "chosen"]

#: Options of a server that a test starts by itself, for the loop that it is to run on.
chosen: list[str] = []


def both_loops(test: Any) -> Any:
    """Run a test whose server is ``runws_server`` on uvloop and on asyncio."""
    return pytest.mark.parametrize("on_loop", ["uvloop", "asyncio"], indirect=True)(
        pytest.mark.usefixtures("on_loop")(test)
    )
