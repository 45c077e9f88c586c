"""The seam between the package and whoever observes what it does."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from django_fastws import FastWS, tracing
from django_fastws.testing import connect
from django_fastws.tracing import ATTRIBUTES, CALL, HANDSHAKE, KINDS, Work, begin
from tests.site import asgi  # noqa: F401 (sets Django up again)


class Noting:
    """Observer that notes what happens."""

    def __init__(self, traceparent="", problem=None):
        self.notes = []
        self.given = traceparent
        self.problem = problem

    def begin(self, work):
        if self.problem is not None:
            raise self.problem
        self.notes.append(work.name)
        return self

    @property
    def traceparent(self):
        return self.given

    def end(self, error, code, attributes):
        self.notes.append((error, code, dict(attributes)))

    def leave(self):
        self.notes.append("left")


@pytest.fixture
def observe():
    before = tracing.observers

    def install(*args, **options):
        observer = Noting(*args, **options)
        tracing.install(observer)
        return observer

    yield install
    for observer in tracing.observers:
        if observer not in before:
            tracing.uninstall(observer)


def test_a_unit_of_work_is_begun_ended_once_and_left(observe):
    observer = observe()
    tracing.install(observer)  # once is enough
    observed = begin(Work(CALL, "tickets/{pk}", event="say", room="tickets/5"))
    observed.note(rpc__method="say")
    observed.end(None, "invalid", http__route="/x")
    observed.end(ValueError())
    assert observer.notes == [
        "call tickets/{pk} say",
        (None, "invalid", {"rpc.method": "say", "http.route": "/x"}),
        "left",
        "left",
    ]


def test_a_block_ends_it_with_what_it_has_raised(observe):
    observer, problem = observe(), RuntimeError("no")
    with begin(Work(HANDSHAKE)):
        pass
    with pytest.raises(RuntimeError), begin(Work(HANDSHAKE)):
        raise problem
    with pytest.raises(asyncio.CancelledError), begin(Work(HANDSHAKE)):
        raise asyncio.CancelledError
    assert [note for note in observer.notes if isinstance(note, tuple)] == [
        (None, "", {}),
        (problem, "", {}),
        (None, "cancelled", {}),
    ]


def test_of_several_observers_each_is_told_and_one_has_the_traceparent(observe):
    first, second = observe(), observe("00-1")
    observed = begin(Work(HANDSHAKE, "/x"))
    assert observed.traceparent == "00-1"
    observed.end()
    assert first.notes == second.notes == ["WS /x", (None, "", {}), "left"]
    tracing.uninstall(first)
    begin(Work(HANDSHAKE, "/y")).end()
    assert len(first.notes) == 3
    assert "WS /y" in second.notes


async def test_an_observer_that_fails_keeps_no_handler_from_its_work(observe, routes, monkeypatch, caplog):
    monkeypatch.setattr(tracing, "_has_failed", False)
    observe(problem=RuntimeError("a mistake"))
    sound = observe()
    app = FastWS()

    @app.websocket("/x")
    async def echo(ws):
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    async with connect("/x") as ws:
        for text in ("one", "two"):
            await ws.send(text)
            assert await ws.receive_text() == text
    assert "WS /x" in sound.notes
    (record,) = [record for record in caplog.records if record.name == "django_fastws.tracing"]
    assert record.exc_info[1].args == ("a mistake",)


def test_the_table_says_of_each_attribute_whose_it_is():
    names = [attribute.name for attribute in ATTRIBUTES]
    assert len(set(names)) == len(names)
    assert len({kind.word for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        if kind.side:
            own = {attribute.name for attribute in ATTRIBUTES if kind in attribute.kinds}
            assert {kind.subject, kind.event, *dict(kind.fixed)} - {""} <= own, kind.word
    for attribute in ATTRIBUTES:
        assert set(attribute.kinds) <= set(KINDS)


@pytest.mark.slow
def test_nobody_imports_a_library_to_observe_with_unless_it_is_asked_for():
    code = (
        "import sys, django_fastws, django_fastws.live, django_fastws.clients.runner\n"
        "unwanted = 'django_fastws.otel', 'django_fastws.sentry', 'sentry'\n"
        "print([name for name in sys.modules if name.startswith(unwanted)])"
    )
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "PATH": "", "PYTHONPATH": "."}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
