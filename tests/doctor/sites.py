"""Projects that the doctor looks at, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.subprocesses import Project

__all__ = ["OUR_LAYER", "Site"]

OUR_LAYER = "django_fastws.layer.RedisChannelLayer"

SETTINGS = """
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
INSTALLED_APPS = [
    "daphne", "django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles", "channels",
    "django_fastws", "project", "tests.support.started.Started",
]
STATIC_URL = "/static/"
"""
URLS = """
from django.contrib.staticfiles.urls import staticfiles_urlpatterns

urlpatterns = staticfiles_urlpatterns()
"""
CONSUMERS = """
from django_fastws import FastWS, History, WebSocket

app = FastWS()

@app.websocket("/ws/echo")
async def echo(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        await ws.send(message.data)

@app.websocket("/ws/deny")
async def deny(ws: WebSocket):
    await ws.close()
"""
ROOM = """
room = app.room("tickets/{pk:int}", history=History(messages=10))
"""


class Site(Project):
    """A project with a socket, and maybe live rooms.

    Args:
        layer: the value of CHANNEL_LAYERS["default"]; None for none.
        has_rooms: whether a live room is declared.
    """

    def __init__(
        self, root: Path, layer: Mapping[str, Any] | None = None, settings: str = "", *, has_rooms: bool = False
    ) -> None:
        layers = f"\nCHANNEL_LAYERS = { ({'default': dict(layer)} if layer else {})!r}\n"
        consumers = CONSUMERS + (ROOM if has_rooms else "")
        super().__init__(
            root, SETTINGS + layers + settings, {"project/consumers.py": consumers, "project/urls.py": URLS}
        )

    @property
    def environment(self) -> dict[str, str]:
        """For a server of it."""
        path = os.pathsep.join([str(self.root), os.environ.get("PYTHONPATH", "")])
        return {"DJANGO_SETTINGS_MODULE": "project.settings", "PYTHONPATH": path}

    def examined(self, *arguments: str) -> Examined:
        """What the doctor says."""
        return Examined(self.manage("ws_doctor", "--json", *arguments))


def _first_json(text: str) -> Any:
    """The JSON that a text begins with; processes of the tests say more behind it."""
    return json.JSONDecoder().raw_decode(text)[0]


class Examined:
    """What the doctor has said of a site."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        assert "Traceback" not in done.stderr, done.stderr
        self.returncode = done.returncode
        print(done.stdout, done.stderr)  # shown if the test has failed
        self.rows: list[dict[str, str]] = _first_json(done.stdout)
        for row in self.rows:
            assert list(row) == ["check", "status", "detail", "hint"]
            assert row["status"] in ("ok", "warning", "failed", "skipped")
            assert row["hint"] or row["status"] in ("ok", "skipped"), row
        assert self.returncode == int(any(row["status"] == "failed" for row in self.rows))

    def __getitem__(self, check: str) -> dict[str, str]:
        """The only result of a check."""
        (row,) = [row for row in self.rows if row["check"] == check]
        return row

    def status(self, check: str) -> str:
        return self[check]["status"]

    @property
    def bad(self) -> set[str]:
        """The checks that have failed."""
        return {row["check"] for row in self.rows if row["status"] == "failed"}
