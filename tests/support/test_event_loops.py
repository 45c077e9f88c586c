"""Tests of the event loop of a whole run."""

from __future__ import annotations

import asyncio

import pytest
import uvloop

from tests.support.event_loops import KINDS, VARIABLE, TestsOnLoop, chosen_kind, on_chosen_loop
from tests.support.processes import COMMANDS, ASGIServer


@pytest.fixture(params=[None, *KINDS])
def kind(request, monkeypatch):
    """The loop that the environment names."""
    if request.param is None:
        monkeypatch.delenv(VARIABLE, raising=False)
    else:
        monkeypatch.setenv(VARIABLE, request.param)
    return request.param


@pytest.mark.parametrize("server", sorted(COMMANDS))
def test_a_server_that_takes_a_loop_gets_the_one_that_the_environment_names(kind, server):
    command = COMMANDS[server]
    takes_one = server in ("runws_server", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto")
    assert on_chosen_loop(command) == [*command, *(["--loop", kind] if kind and takes_one else [])]


def test_a_server_that_names_a_loop_keeps_it(kind):
    command = [*COMMANDS["runws_server"], "--loop", "asyncio"]
    assert on_chosen_loop(command) == command


@pytest.mark.server
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_runs_on_it(kind, monkeypatch):
    monkeypatch.setenv(VARIABLE, kind)
    with ASGIServer("runws_server") as server:
        assert f"The event loop is that of {kind}" in server.log()


@pytest.mark.parametrize(("kind", "loop_class"), [("asyncio", asyncio.SelectorEventLoop), ("uvloop", uvloop.Loop)])
def test_a_test_runs_on_it(kind, loop_class):
    (make,) = TestsOnLoop(kind).pytest_asyncio_loop_factories().values()
    loop = make()
    loop.close()
    assert isinstance(loop, loop_class)


async def test_this_run_is_on_the_loop_that_the_environment_names():
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop) is (chosen_kind() == "uvloop")


def test_another_word_is_a_mistake(monkeypatch):
    monkeypatch.setenv(VARIABLE, "gevent")
    with pytest.raises(ValueError, match="may be asyncio or uvloop"):
        chosen_kind()
