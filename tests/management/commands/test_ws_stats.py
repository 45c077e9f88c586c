"""manage.py ws_stats: what the processes count, asked for over the layer or at a URL."""

from __future__ import annotations

import asyncio
import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from django_fastws.processes.survey import Answer, Survey
from tests.conftest import layer_config
from tests.site.client import connect, until


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("ws_stats", *arguments, stdout=output, stderr=output)
    return output.getvalue()


@pytest.mark.redis
@pytest.mark.server
async def test_all_processes_are_asked_over_the_layer(serve, redis_server, settings):
    layer = layer_config("ours", redis_server, "stats")
    settings.CHANNEL_LAYERS = {"default": layer}
    servers = [serve("runws_server", layer=layer) for _ in range(2)]
    sockets = [await connect(server, "/ws/room/lobby") for server in servers]

    async def shown() -> str:
        return await asyncio.to_thread(command, "--timeout", "30")

    async def are_counted() -> bool:
        return "connections{route=/ws/room/{room}, transport=daphne}" in await shown()

    await until(are_counted)
    text = await shown()
    assert text.startswith("2 processes: ")
    line = next(line for line in text.splitlines() if line.startswith("connections{"))
    assert line.split()[-1] == "2"
    told = json.loads(await asyncio.to_thread(command, "--json", "--timeout", "30"))
    assert [found["handshakes"] for found in told.values()] == [[[["/ws/room/{room}"], 1]]] * 2
    for socket in sockets:
        await socket.close()


@pytest.mark.server
async def test_a_server_is_read_at_its_url(serve):
    server = serve("runws_server", settings={"FASTWS_METRICS_PATH": "/metrics"})
    url = server.http_url("/metrics")
    async with connect(server, "/ws/echo") as ws:
        await ws.ask("x")
        text = await asyncio.to_thread(command, "--url", url, "--timeout", "30")
    assert text.startswith(f"1 process: {url}\n")
    words = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:] if line}
    assert (words["received_messages"], words["sent_messages"]) == ("1", "1")


async def test_nobody_has_answered(settings):
    settings.CHANNEL_LAYERS = {}
    text = await asyncio.to_thread(command, "--timeout", "0.1")
    assert text.startswith("0 processes: is anything served")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_who_has_not_answered_is_said(monkeypatch, arguments):
    answer = Answer("web:1", {"kind": "server", "metrics": {"users": [[[], 1]]}}, "", 0.1, 1.0)

    async def ask_processes(topic, *, seconds):
        return Survey({"web:1": answer}, expected=3)

    monkeypatch.setattr("django_fastws.management.commands.ws_stats.ask_processes", ask_processes)
    output, errors = StringIO(), StringIO()
    call_command("ws_stats", *arguments, stdout=output, stderr=errors)
    assert "2" in (errors.getvalue() if arguments else output.getvalue().splitlines()[0])
    if arguments:
        assert json.loads(output.getvalue()) == {"web:1": {"users": [[[], 1]]}}


def test_watching_shows_rates_until_it_is_interrupted(monkeypatch):
    pages = iter([{"sent_messages": [[[], 10]]}, {"sent_messages": [[[], 30]]}])
    monkeypatch.setattr("django_fastws.management.commands.ws_stats._page", lambda url, timeout: next(pages))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 2:
            raise KeyboardInterrupt

    slept: list[float] = []
    monkeypatch.setattr("django_fastws.management.commands.ws_stats.time.sleep", sleep)
    clock = iter([100.0, 110.0])
    monkeypatch.setattr("django_fastws.management.commands.ws_stats.time.monotonic", lambda: next(clock))
    text = command("--url", "http://server/metrics", "--watch", "10")
    assert slept == [10, 10]
    assert [line for line in text.splitlines() if "sent_messages" in line] == [
        "sent_messages  10",
        "sent_messages  30, 2.0/s",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "localhost:8000"], "no http:// or https:// URL"),
        (["--url", "http://127.0.0.1:9/metrics"], "refused"),
        (["--url", "http://a b/metrics"], "control characters"),
        (["--timeout", "0"], "--timeout takes a number of seconds above 0"),
        (["--watch", "nan"], "--watch takes a number of seconds above 0"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_why(arguments, words):
    with pytest.raises(CommandError, match=words):
        command(*arguments)


@pytest.mark.server
async def test_what_is_no_page_of_metrics_is_an_error(serve):
    server = serve("runws_server")
    with pytest.raises(CommandError, match="--url"):
        await asyncio.to_thread(command, "--url", server.http_url("/hello/"), "--timeout", "30")
