"""ws_top: what it prints where there is no terminal, what a key does, and what it says of wrong options."""

import asyncio
import contextlib
import importlib.util
import os
import sys
import threading
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.management.commands import ws_top

needs_rich = pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="needs rich")


@pytest.fixture(autouse=True)
def layer(settings):
    settings.CHANNEL_LAYERS = {}


@needs_rich
def test_once_prints_all_and_ends():
    out = StringIO()
    call_command("ws_top", "--once", "--interval", "0.1", stdout=out)
    text = out.getvalue()
    assert "PROCESS" in text
    assert "received 0/s" in text or "0 sockets" in text
    assert "\x1b" not in text


@needs_rich
def test_quiet_is_one_line():
    out = StringIO()
    call_command("ws_top", "--once", "-q", "--interval", "0.1", stdout=out)
    assert len(out.getvalue().splitlines()) == 1
    assert "sockets" in out.getvalue()


@pytest.mark.parametrize(
    "options", [["--interval", "0"], ["--interval", "9999"], ["--timeout", "0"], ["--timeout", "61"]]
)
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(CommandError, match=options[0]):
        call_command("ws_top", *options)


@needs_rich
def test_a_layer_that_is_away_is_said(monkeypatch):
    async def away(**options):
        raise WebSocketConnectionError("the channel layer cannot be reached")

    monkeypatch.setattr(ws_top, "read_snapshot", away)
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("ws_top", "--once", "--interval", "0.1", stdout=StringIO())


def test_who_has_not_installed_rich_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.delitem(sys.modules, "django_fastws.top_screen", raising=False)
    with pytest.raises(CommandError, match=r"django-fastws\[top\]"):
        call_command("ws_top", "--once")


@needs_rich
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such terminals")
def test_in_a_terminal_it_goes_on_until_q_is_pressed(monkeypatch):
    import pty

    ours, theirs = pty.openpty()
    shown = bytearray()

    def read():
        with contextlib.suppress(OSError):
            while chunk := os.read(ours, 65536):
                shown.extend(chunk)
                if b"PROCESS" in shown and not pressed.is_set():
                    pressed.set()
                    os.write(ours, b"p q")

    pressed = threading.Event()
    reading = threading.Thread(target=read, daemon=True)
    with os.fdopen(theirs, "r+b", buffering=0) as terminal:
        stream_out, stream_in = open(os.dup(theirs), "w"), open(os.dup(theirs))  # noqa: SIM115
        monkeypatch.setattr(sys, "stdout", stream_out)
        monkeypatch.setattr(sys, "stdin", stream_in)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "120")
        reading.start()
        call_command("ws_top", "--interval", "0.1", "--timeout", "5")
        stream_out.close()
        stream_in.close()
        assert terminal
    os.close(ours)
    reading.join(10)
    assert pressed.is_set()
    assert b"q quit" in shown


async def test_keys_are_waited_for_no_longer_than_wanted():
    keys = asyncio.Queue()
    keys.put_nowait("p")
    assert await ws_top._pressed(keys, 10) == "p"
    assert await ws_top._pressed(keys, 0.01) == ""
