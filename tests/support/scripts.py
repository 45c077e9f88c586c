"""Scripts that have Django set up, and requests to the views of a server."""

from __future__ import annotations

import asyncio
import json
import os
import textwrap
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from tests.site.client import LIMIT
from tests.support import interpreter
from tests.support.processes import ASGIServer

SETUP = "import django; django.setup()\nfrom django_fastws import Room, WebSocketConnectionError\n"
STRICT = ["-W", "error"]


def environment(layer: Mapping[str, Any], **settings: Any) -> dict[str, str]:
    variables = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_LAYER": json.dumps(layer)}
    return {**os.environ, **variables, "TEST_FASTWS": json.dumps(settings)}


async def run(
    code: str, layer: Mapping[str, Any], *, options: list[str] = STRICT, errors: str = "", **settings: Any
) -> str:
    """Run a script that has Django set up; returns what it prints. It must end well and complain of nothing."""
    script = SETUP + textwrap.dedent(code)
    return await execute([*options, "-c", script], environment(layer, **settings), errors)


async def execute(arguments: list[str], variables: Mapping[str, str], errors: str = "") -> str:
    done = await asyncio.to_thread(interpreter.run, arguments, variables, timeout_seconds=3 * LIMIT)
    assert (done.returncode, done.stderr) == (0, errors)
    return done.stdout


def get(server: ASGIServer, path: str, **query: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(server.http_url(f"{path}?{urlencode(query)}"), timeout=LIMIT) as answer:
        return str(answer.read().decode())
