"""The loop under Twisted's reactor is the one that was asked for, and nothing that it was given before is lost."""

from __future__ import annotations

import re

import pytest

from tests.server.client import fetch
from tests.support.event_loops import chosen_kind
from tests.support.subprocesses import Project

pytestmark = pytest.mark.server

MISSING = """
    import sys
    sys.modules["uvloop"] = None
    from django.core.management import execute_from_command_line as run
    run(["", "runws_server", *{options!r}])
"""


def test_uvloop_that_is_asked_for_and_missing_is_an_error_that_says_what_to_install(tmp_path):
    done = Project(tmp_path).run(MISSING.format(options=["--loop", "uvloop"]))
    assert done.returncode == 1
    assert "CommandError: --loop uvloop: uvloop cannot be imported" in done.stderr
    assert "pip install 'django-fastws[uvloop]'" in done.stderr


def test_without_uvloop_auto_is_asyncio(tmp_path):
    done = Project(tmp_path).run(MISSING.format(options=["--fd", "77"]))  # which is no socket: it ends at once
    assert done.returncode == 1
    assert "The event loop is that of asyncio" in done.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "asyncio$" if chosen_kind() == "asyncio" else r"uvloop \d"),
        (("--loop", "auto"), r"uvloop \d"),
        (("--loop", "uvloop"), r"uvloop \d"),
        (("--loop", "asyncio"), "asyncio$"),
    ],
    ids=["", "auto", "uvloop", "asyncio"],
)
async def test_the_log_says_which_loop_it_is(plain, options, says):
    server = plain(*options)
    assert (await fetch(server, "/scope/")).status == 200
    assert re.search(f"The event loop is that of {says}", server.log(), re.MULTILINE)


@pytest.mark.parametrize("kind", ["asyncio", "uvloop"])
def test_what_the_reactor_was_given_before_happens_on_the_other_loop(tmp_path, kind):
    """Also where the project has a policy of its own, whose loop the reactor gets at first."""
    done = Project(tmp_path).run(f"""
        import asyncio, os, sys

        if {kind!r} == "asyncio":
            class Policy(asyncio.DefaultEventLoopPolicy):
                def new_event_loop(self):
                    import uvloop
                    return uvloop.new_event_loop()
            asyncio.set_event_loop_policy(Policy())
        from daphne.server import reactor
        from twisted.internet.abstract import FileDescriptor
        from django_fastws.server.event_loop import use_loop

        read_end, write_end = os.pipe()
        seen = []

        class Reader(FileDescriptor):
            def fileno(self):
                return read_end
            def doRead(self):
                seen.append(os.read(read_end, 10).decode())
                reactor.stop()

        reactor.addReader(Reader(reactor))
        reactor.callLater(0.01, seen.append, "later")
        reactor.callLater(0.02, os.write, write_end, b"read")
        reactor.callFromThread(seen.append, "thread")
        former = reactor._asyncioEventloop
        name = use_loop({kind!r})
        assert former.is_closed() and reactor._asyncioEventloop is not former
        reactor.run(installSignalHandlers=False)
        print(name.split()[0], type(reactor._asyncioEventloop).__module__.split(".")[0], *seen)
        """)
    module = {"asyncio": "asyncio", "uvloop": "django_fastws"}[kind]
    assert done.stdout.split()[:2] == [kind, module], done.stderr
    assert set(done.stdout.split()[2:]) == {"thread", "later", "read"}
