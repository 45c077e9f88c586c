"""Pages on what stands beside the package: htmx, live servers, Sentry, OpenTelemetry, gevent, dependencies."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import re
import tomllib
from typing import Any

import httpx2
import pytest

from tests.docs.blocks import DOCS, README, page, section
from tests.docs.client import chatting, heard, join
from tests.support.processes import ROOT

HOWTO = DOCS / "howto"


# htmx


@pytest.mark.server
@pytest.mark.slow
async def test_htmx(project):
    project.follow(section(HOWTO / "htmx.md", "Use htmx"))
    (server,) = project.servers
    async with httpx2.AsyncClient(trust_env=False, timeout=60) as client:
        shown = await client.get(server.url("/lines/kitchen/", "http"))
    (path,) = re.findall(r'ws-connect="([^"]+)"', shown.text)
    assert path == "/ws/lines/kitchen"
    assert '<ul id="lines">' in shown.text
    # What the extension sends for the page's form.
    form = json.dumps({"text": "<b>tea</b>", "HEADERS": {"HX-Request": "true", "HX-Target": None}})
    line = '<ul id="lines" hx-swap-oob="beforeend"><li>&lt;b&gt;tea&lt;/b&gt;</li></ul>'
    async with join(server, path) as ada, join(server, path) as bob:
        await chatting_html(ada, bob)
        await ada.send(form)
        for ws in (ada, bob):
            await heard(ws, f"{line}\n")


async def chatting_html(*sockets: Any) -> None:
    """Wait until every socket is in its room: each hears itself."""
    for number, ws in enumerate(sockets):
        await ws.send(json.dumps({"text": f"here is {number}"}))
        await heard(ws, f'<ul id="lines" hx-swap-oob="beforeend"><li>here is {number}</li></ul>\n')


# Live servers


@pytest.mark.server
@pytest.mark.slow
def test_live_tests(project):
    project.follow(page(HOWTO / "live-tests.md"))
    assert (project.directory / "chat" / "test_live.py").is_file()


# Sentry

#: Sockets of two users fail; what the SDK would send is printed.
TRY_SENTRY = """\
import asyncio
import json
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"

import django

django.setup()

import sentry_sdk
from django.contrib.auth.models import User
from django_fastws.testing import connect
from mysite.asgi import application
from sentry_sdk.transport import Transport


class Printing(Transport):
    def capture_envelope(self, envelope):
        for item in envelope.items:
            event = item.payload.json
            error = event["exception"]["values"][-1] if "exception" in event else None
            print(json.dumps({
                "type": item.type,
                "error": error and [error["type"], error["value"]],
                "variables": "vars" in json.dumps(error),
                "transaction": event.get("transaction"),
                "route": event.get("tags", {}).get("fastws.route"),
                "user": event.get("user"),
                "crumbs": [crumb["message"] for crumb in event.get("breadcrumbs", {}).get("values", [])],
            }))


sentry_sdk.get_client().transport = Printing()


async def fail(pk, text):
    async with connect(f"/ws/fail?token=secret", application=application, user=User(pk=pk)) as ws:
        await ws.send("note")
        await ws.receive()
        await ws.send(text)
        await ws.wait_closed()


async def main():
    await asyncio.gather(*[fail(pk, f"error {pk}") for pk in (1, 2)])
    async with connect("/ws/fail", application=application) as ws:  # nobody is logged in, and nothing fails
        await ws.send("note")
        await ws.receive()


asyncio.run(main())
"""
FAILING = """\
import logging

from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/fail")
async def fail(ws: WebSocket):
    await ws.accept()
    async for message in ws:
        logging.getLogger("mine").warning("%s of %s", message.text, ws.user.pk)
        if message.text != "note":
            raise RuntimeError(message.text)
        await ws.send("noted")
"""


@pytest.mark.long
@pytest.mark.slow
def test_sentry(project):
    pytest.importorskip("sentry_sdk")
    project.follow(page(HOWTO / "sentry.md"))
    (project.directory / "chat" / "consumers.py").write_text(FAILING)
    (project.directory / "try.py").write_text(TRY_SENTRY)
    printed = project.run("python try.py").splitlines()
    # There is an event for each failure, and no transaction as long as a socket.
    events = [json.loads(line) for line in printed if line.startswith("{")]
    assert sorted(events, key=lambda event: event["error"]) == [
        {
            "type": "event",
            "error": ["RuntimeError", f"error {pk}"],
            "variables": False,
            "transaction": "message /ws/fail",
            "route": "/ws/fail",
            "user": None,
            "crumbs": [f"error {pk} of {pk}"],
        }
        for pk in ("1", "2")
    ]


# OpenTelemetry

#: What is traced of a page and of a socket, printed.
TRY_TRACING = """\
import asyncio
import json
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"

from asgiref.testing import ApplicationCommunicator
from django_fastws.asgi import get_asgi_application
from django_fastws.testing import connect
from mysite.asgi import application
from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))


def spans():
    found = exporter.get_finished_spans()
    exporter.clear()
    return found


async def use(application):
    async with connect("/ws/traced/tea?token=secret", application=application) as ws:
        for text in ("one", "two"):
            await ws.send(text)
            await ws.receive()


async def main():
    await use(application)
    messages = spans()
    scope = {"type": "http", "method": "GET", "path": "/nowhere", "query_string": b"", "headers": []}
    http = ApplicationCommunicator(application, scope)
    await http.send_input({"type": "http.request"})
    await http.receive_output(5)
    await http.wait(5)
    requests = spans()
    # What the page warns of.
    await use(OpenTelemetryMiddleware(get_asgi_application()))
    whole = spans()
    print(json.dumps({
        "sockets": sorted({span.name for span in messages}),
        "traces": len({span.context.trace_id for span in messages if span.name == "message /ws/traced/{room}"}),
        "told": any("secret" in str(dict(span.attributes)) for span in messages),
        "requests": any("/nowhere" in str(dict(span.attributes)) for span in requests),
        "spans of the middleware": len(whole) - len(messages),
        "secret": any("secret" in str(dict(span.attributes)) for span in whole),
    }))


asyncio.run(main())
"""
TRACED = """\
from django_fastws import FastWS, WebSocket

app = FastWS(prefix="/ws")


@app.websocket("/traced/{room}")
async def traced(ws: WebSocket, room: str):
    await ws.accept()
    await ws.join(room)
    async for message in ws:
        await ws.broadcast(room, message.text)
"""


@pytest.mark.slow
def test_opentelemetry(project):
    pytest.importorskip("opentelemetry.sdk")
    pytest.importorskip("opentelemetry.instrumentation.asgi")
    blocks = page(HOWTO / "opentelemetry.md")
    project.follow([block for block in blocks if block.file or block.language == "console"])
    (project.directory / "chat" / "consumers.py").write_text(TRACED)
    (project.directory / "try.py").write_text(TRY_TRACING)
    (found,) = [json.loads(line) for line in project.run("python try.py").splitlines() if line.startswith('{"')]
    route = "/ws/traced/{room}"
    names = {"broadcast", "fan-out", f"WS {route}", f"disconnect {route}", f"handler {route}", f"message {route}"}
    assert set(found["sockets"]) == names
    assert (found["traces"], found["told"]) == (2, False)
    assert found["requests"]
    # Around everything, it makes a span of a socket and two for a message, and the token is in it.
    assert found["spans of the middleware"] > 4
    assert found["secret"]


# gevent

BROADCASTING = """\
from gevent import monkey

monkey.patch_all()

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"

import django
import gevent

django.setup()

from django_fastws import Room

room = Room("tea")
gevent.joinall([gevent.spawn(room.broadcast, {"number": number}) for number in range(50)], raise_error=True)
"""
HANDLING = """\
from gevent import monkey

monkey.patch_all()

import asyncio
import os

os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"

import django

django.setup()

from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.contrib.auth.models import User


async def main():
    try:
        async with asyncio.timeout(5):
            await User.objects.acount()
    except (SynchronousOnlyOperation, TimeoutError) as error:
        print(type(error).__name__)
    else:
        print("works")


asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.server
@pytest.mark.redis
@pytest.mark.slow
async def test_greenlets_broadcast_and_cannot_serve(project):
    pytest.importorskip("gevent")
    project.follow([block for block in section(README, "In production") if block.file])
    (project.directory / "broadcasting.py").write_text(BROADCASTING)
    (project.directory / "handling.py").write_text(HANDLING)
    server = project.serve("python manage.py runws_server")
    project.forks = False  # gevent has to be the first that is imported
    async with join(server, "/ws/chat/tea") as ws:
        await chatting(ws)
        await asyncio.to_thread(project.run, "python broadcasting.py")
        numbers = {json.loads(await ws.recv())["number"] for _ in range(50)}
        assert numbers == set(range(50))
    printed = await asyncio.to_thread(project.run, "python handling.py")
    assert printed.split()[-1] in {"SynchronousOnlyOperation", "TimeoutError"}


# Dependencies


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in requirements}


def test_the_page_says_why_each_dependency_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (DOCS / "explanation" / "dependencies.md").read_text("utf-8")
    always, asked_for = text.split("To be asked for")
    rows = re.compile(r"^\| `([\w-]+)` \|", re.MULTILINE)
    assert rows.findall(always) == sorted(set(rows.findall(always)), key=rows.findall(always).index)
    assert set(rows.findall(always)) == _names(project["dependencies"])
    extras = project["optional-dependencies"]
    assert set(rows.findall(asked_for)) == _names([name for names in extras.values() for name in names])


def test_what_comes_with_others_does():
    """The page says of some that another dependency brings them anyway."""
    for name, by in (("redis", "channels-redis"), ("idna", "httpx2"), ("twisted", "daphne"), ("autobahn", "daphne")):
        assert name in {found.lower() for found in _names(importlib.metadata.requires(by) or [])}
