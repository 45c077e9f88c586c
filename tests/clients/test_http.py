"""The HTTP requests of outbound routes: run first, all together, and what becomes of them."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import decimal
import json
import logging
import uuid

import pytest

from django_fastws import Response
from tests.clients.handlers import KINDS, Feed, once

from .conftest import run, running
from .peers import HOST, PATIENCE, read_request, soon
from .web import Answer, Web


@pytest.fixture
async def web():
    """A server that answers everything with {}."""
    async with Web() as server:
        yield server


async def take(resp):
    """A handler that returns nothing."""


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete", "head", "options"])
async def test_every_method_sends_its_request_and_the_handler_gets_the_response(app, web, log, method):
    got = []

    @getattr(app, method)(url=f"{web.url}/things")
    async def handle(resp: Response) -> None:
        got.append(resp)

    assert await run(app)
    assert [(request.method, request.path) for request in web.requests] == [(method.upper(), "/things")]
    assert isinstance(got[0], Response)
    assert (got[0].status_code, got[0].is_success) == (200, True)
    assert log.starting("✔ ") == [f"✔ {method.upper()} {web.url}/things 200"]


async def test_params_and_headers_are_sent(app, web):
    options = {"params": {"a": "1", "b": ["2", "größe"]}, "headers": {"X-Asked": "yes"}}
    app.get(f"{web.url}/?first=0", **options)(take)
    app.post(web.url, params=[("a", "1"), ("a", "2")], headers=[("X-Asked", "twice")])(take)
    assert await run(app)
    got, posted = sorted(web.requests)
    assert got.query == [("first", "0"), ("a", "1"), ("b", "2"), ("b", "größe")]  # those of the URL too
    assert got.headers["x-asked"] == "yes"
    assert (posted.query, posted.headers["x-asked"]) == ([("a", "1"), ("a", "2")], "twice")


@dataclasses.dataclass
class Point:
    x: int


async def test_json_is_sent_with_djangos_types(app, web):
    body = {
        "at": datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC),
        "price": decimal.Decimal("1.50"),
        "id": uuid.UUID(int=1),
        "point": Point(3),
        "ключ": None,
    }
    app.post(web.url, json=body)(take)
    assert await run(app)
    (request,) = web.requests
    assert request.headers["content-type"] == "application/json"
    assert request.json == {
        "at": "2024-01-02T03:04:05Z",
        "price": "1.50",
        "id": str(uuid.UUID(int=1)),
        "point": {"x": 3},
        "ключ": None,
    }


async def test_header_values_are_str_bytes_or_int_in_latin_1(app, web):
    app.get(web.url, headers=[("X-A", "größe"), (b"X-B", b"\xff"), ("X-C", 5)])(take)
    assert await run(app)
    sent = web.requests[0].headers
    assert (sent["x-a"], sent["x-b"], sent["x-c"]) == ("größe", "ÿ", "5")


@pytest.mark.parametrize("headers", [{"Authorization": "opensesame\n"}, {"Authorization": None}, "opensesame", [1]])
async def test_headers_from_a_callable_that_cannot_be_sent_are_a_failure(app, web, log, headers):
    app.get(web.url, headers=lambda: headers)(take)
    assert not await run(app)
    assert len(log.starting("✘ ")) == 1
    assert web.requests == []
    assert "opensesame" not in log.text


@pytest.mark.parametrize("json_value", [{}, [], 0, False, "", "text", [1, 2]])
async def test_any_json_but_none_is_a_body(app, web, json_value):
    app.put(web.url, json=json_value)(take)
    assert await run(app)
    assert web.requests[0].json == json_value


async def test_the_limit_of_messages_is_not_for_requests(app, web, settings, log):
    settings.FASTWS_MAX_MESSAGE_BYTES = 100
    body = {"long": "x" * 1000}

    @app.post(web.url, json=body)
    async def handle(resp):
        return {"also long": ["y"] * 100}

    assert await run(app)
    assert web.requests[0].json == body
    assert log.starting("✔ ")[0].endswith('"y","y"]}')


async def test_a_content_type_of_the_users_own_is_kept(app, web):
    app.post(web.url, json={}, headers={"content-type": "application/vnd.api+json"})(take)
    assert await run(app)
    assert web.requests[0].headers["content-type"] == "application/vnd.api+json"


@pytest.mark.parametrize(
    ("data", "body", "content_type"),
    [
        ({"a": "1", "b": ["2", "3"]}, b"a=1&b=2&b=3", "application/x-www-form-urlencoded"),
        ("größe", "größe".encode(), None),
        (b"\x00\xff", b"\x00\xff", None),
    ],
)
async def test_data_is_a_form_or_sent_as_it_is(app, web, data, body, content_type):
    app.post(web.url, data=data)(take)
    assert await run(app)
    assert (web.requests[0].body, web.requests[0].headers.get("content-type")) == (body, content_type)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_url_may_be_a_callable_of_any_kind(app, web, kind):
    feed = Feed(web.url)
    app.get(KINDS[kind](feed))(take)
    assert await run(app)
    assert [request.path for request in web.requests] == ["/1"]


async def test_the_headers_may_be_a_callable(app, web):
    async def headers():
        return {"Authorization": "Bearer fresh"}

    app.get(web.url, headers=headers)(take)
    assert await run(app)
    assert web.requests[0].headers["authorization"] == "Bearer fresh"


async def test_redirects_are_followed(app):
    async def behave(request):
        return Answer(302, b"", ("Location: /there",)) if request.path == "/here" else Answer()

    got = []
    async with Web(behave) as web:

        @app.get(f"{web.url}/here")
        async def handle(resp):
            got.append(resp.url.path)

        assert await run(app)
    assert got == ["/there"]


# All together, and first


async def test_all_requests_are_sent_together(app):
    """Every answer waits for the last request: one after the other, they would wait for ever."""
    everybody = asyncio.Barrier(10)

    async def behave(request):
        await everybody.wait()
        return Answer()

    async with Web(behave) as web:
        for number in range(10):
            app.get(f"{web.url}/{number}", name=f"request {number}")(take)
        assert await run(app)
    assert len(web.requests) == 10


async def test_all_requests_have_ended_when_the_first_socket_opens(app, peer):
    order = []
    server = await peer()

    async def behave(request):
        await asyncio.sleep(0.05)
        order.append("answered")
        return Answer()

    @app.ws(server.url)
    async def feed(ws):
        order.append("socket")

    async with Web(behave) as web:
        for number in range(3):

            @app.get(f"{web.url}/{number}", name=f"request {number}")
            async def handle(resp):
                order.append("handled")

        assert await run(app)
    assert order[-1] == "socket"
    assert sorted(order[:-1]) == ["answered"] * 3 + ["handled"] * 3


async def test_a_handler_that_takes_too_long_does_not_hold_back_the_sockets(app, peer, web, settings, log):
    settings.FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0.05
    server, opened, order = await peer(), asyncio.Event(), []

    @app.get(f"{web.url}/?token=opensesame", name="slow")
    async def slow(resp):
        await opened.wait()
        order.append("slow")

    @app.get(web.url, name="quick")
    async def quick(resp):
        order.append("quick")

    @app.ws(server.url)
    async def feed(ws):
        order.append("socket")
        opened.set()

    assert await run(app)
    assert order == ["quick", "socket", "slow"]
    assert len(log.starting("✔ GET")) == 2
    assert [record.getMessage() for record in log.records if record.levelno >= logging.ERROR] == [
        f"{__name__}.{slow.__qualname__}() has taken 0.05 seconds over the answer to GET {web.url}/?***: "
        "the sockets open without waiting for it any longer"
    ]


async def test_its_failure_is_one_all_the_same(app, peer, web, settings):
    settings.FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0.05
    server, opened = await peer(), asyncio.Event()

    @app.get(web.url)
    async def slow(resp):
        await opened.wait()
        raise LookupError

    @app.ws(server.url)
    async def feed(ws):
        opened.set()

    assert not await run(app)


async def test_without_sockets_it_is_waited_for(app, web, settings, log):
    settings.FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0.05
    go_on = asyncio.Event()

    @app.get(web.url)
    async def slow(resp):
        await go_on.wait()

    async with running(app) as it:
        await soon(lambda: [line for line in log.lines if "has taken" in line])
        assert not it.task.done()
        go_on.set()
        assert await it.ended()


async def test_a_stop_cancels_it_at_once_while_the_sockets_are_closed(app, peer, web, settings):
    settings.FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0.05
    server, ends, opened = await peer(), [], asyncio.Event()

    @app.get(web.url)
    async def stuck(resp):
        try:
            await asyncio.Event().wait()
        finally:
            ends.append("cancelled")

    @app.ws(server.url)
    async def feed(ws):
        opened.set()  # a stop that comes before it closes the socket without a handler
        async for _ in ws:
            pass
        ends.append((ws.close_code, ws.close_reason))

    async with running(app) as it:
        await asyncio.wait_for(opened.wait(), PATIENCE)
        it.stop()
        assert await it.ended()
    assert ends == ["cancelled", (1001, "going away")]


async def test_the_limit_is_for_the_handler_not_for_the_answer(app, peer, settings, log):
    settings.FASTWS_CLIENT_HTTP_HANDLER_SECONDS = 0.05
    server = await peer()

    async def behave(request):
        await asyncio.sleep(0.2)
        assert not server.asked
        return Answer()

    async with Web(behave) as web:
        app.get(web.url)(take)
        app.ws(server.url)(once)
        assert await run(app)
    assert not [line for line in log.lines if "has taken" in line]


# What fails, and what it does not keep from running


async def refuses_the_connection(web):
    await web.__aexit__()
    return "Connect"


async def answer_500(request):
    return Answer(500, b"down")


async def answer_404(request):
    return Answer(404, b"nothing")


async def answer_nothing(request):
    return None


async def answer_no_json(request):
    return Answer(200, b"<html>")


async def answer_never(request):
    await asyncio.Event().wait()


async def parse(resp):
    return resp.json()


async def check(resp):
    resp.raise_for_status()


async def raise_error(resp):
    raise LookupError("no price")


async def raise_cancelled(resp):
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("behave", "handler", "options", "words"),
    [
        (answer_500, take, {}, " 500 Whatever"),
        (answer_404, take, {}, " 404 Whatever"),
        (answer_500, check, {}, "check() raised HTTPStatusError: Server error '500 Whatever'"),
        (answer_nothing, take, {}, " failed: "),
        (answer_never, take, {"timeout": 0.05}, " failed: no answer within 0.05 seconds"),
        (answer_no_json, parse, {}, "parse() failed"),
        (None, raise_error, {}, "raise_error() failed"),
        (None, raise_cancelled, {}, "raise_cancelled() failed"),
        (None, take, {"json": object()}, " failed"),
    ],
)
async def test_a_failure_is_logged_with_its_reason_and_the_sockets_open(
    app, peer, log, behave, handler, options, words
):
    server = await peer()
    app.ws(server.url)(once)
    async with Web(behave) as web:
        app.get(f"{web.url}/status?token=opensesame", **options)(handler)
        assert not await run(app)
    (line,) = log.starting("✘ ")
    assert line.startswith(f"✘ GET {web.url}/status?***")
    assert words in line
    assert [record.levelno for record in log.records if record.getMessage() == line] == [logging.ERROR]
    assert len(server.visits) == 1


@pytest.mark.parametrize(
    ("handler", "traceback"), [(raise_error, "LookupError: no price"), (parse, "JSONDecodeError")]
)
async def test_an_error_of_a_handler_has_its_traceback(app, log, handler, traceback):
    async with Web(answer_no_json) as web:
        app.get(web.url)(handler)
        assert not await run(app)
    assert traceback in log.text
    assert "Traceback" in log.text


async def test_a_refused_connection_is_a_failure(app, peer, log):
    server = await peer()
    async with Web() as web:
        url = web.url
    app.get(url)(take)
    app.ws(server.url)(once)
    assert not await run(app)
    assert log.starting(f"✘ GET {url} failed: ")
    assert len(server.visits) == 1


@pytest.mark.parametrize("url", ["ftp://example.com/", "http:///x", None, "http://127.0.0.1:99999/"])
async def test_an_invalid_url_from_a_callable_is_a_failure(app, log, url):
    app.get(lambda: url)(take)
    assert not await run(app)
    assert len(log.starting("✘ GET ")) == 1


async def test_a_callable_that_fails_is_a_failure(app, log):
    def url():
        raise KeyError("STATUS_URL")

    app.get(url)(take)
    assert not await run(app)
    assert "KeyError: 'STATUS_URL'" in log.text


async def test_one_that_fails_does_not_touch_the_others(app, log):
    async def behave(request):
        return Answer(500) if request.path == "/bad" else Answer()

    async with Web(behave) as web:
        for path in ("good", "bad", "better"):
            app.get(f"{web.url}/{path}", name=path)(take)
        app.get(f"{web.url}/strange", name="strange")(raise_cancelled)
        assert not await run(app)
    assert sorted(log.starting("✔ ")) == [f"✔ GET {web.url}/better 200", f"✔ GET {web.url}/good 200"]


# Time limits


async def test_each_request_has_its_own_timeout(app, log):
    go_on = asyncio.Event()

    async def behave(request):
        await go_on.wait()
        return Answer()

    async with Web(behave) as web:
        app.get(f"{web.url}/short", timeout=0.05, name="short")(take)
        app.get(f"{web.url}/long", timeout=30, name="long")(take)
        app.get(f"{web.url}/none", timeout=None, name="none")(take)
        async with running(app) as it:
            await soon(lambda: log.starting("✘ "))
            go_on.set()
            assert not await it.ended()
    assert log.starting("✘ ") == [f"✘ GET {web.url}/short failed: no answer within 0.05 seconds"]
    assert len(log.starting("✔ ")) == 2


async def test_the_timeout_is_for_the_whole_request(app, raw_peer, log):
    """A server that sends a byte now and then does not hold up the sockets for ever."""

    async def drip(reader, writer, number):
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    server = await raw_peer(drip)
    app.get(f"http://{HOST}:{server.port}/", timeout=0.3)(take)
    assert not await run(app)
    assert log.starting("✘ ")[0].endswith("failed: no answer within 0.3 seconds")


async def test_the_default_timeout_is_10_seconds(app):
    app.get("http://127.0.0.1/")(take)
    assert app.outbound[0].options["timeout"] == 10


# What a handler returns


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (None, ""),
        ({"ok": True, "größe": [1, 2.5, None]}, ': {"ok":true,"größe":[1,2.5,null]}'),
        ([], ": []"),
        ({"at": datetime.date(2024, 1, 2)}, ': {"at":"2024-01-02"}'),
        ("text", ": text"),
        ("two\nlines", ": two\\nlines"),
        ({"a": "two\nlines"}, ': {"a":"two\\nlines"}'),
        (5, ": 5"),
        ({"a": {1, 2}.__class__}, ": {'a': <class 'set'>}"),
    ],
)
async def test_what_a_handler_returns_is_logged_dicts_and_lists_as_compact_json(app, web, log, result, shown):
    @app.get(web.url)
    async def handle(resp):
        return result

    assert await run(app)
    assert log.starting("✔ ") == [f"✔ GET {web.url} 200{shown}"]


@pytest.mark.parametrize("result", ["x" * 5000, ["x" * 5000], {"x": "y" * 5_000_000}, 10**3000])
async def test_what_is_long_is_cut(app, web, log, result):
    @app.get(web.url)
    async def handle(resp):
        return result

    assert await run(app)
    (line,) = log.starting("✔ ")
    assert line.endswith("…")
    assert len(line) < 1100


async def test_what_a_handler_of_a_failed_request_returns_is_logged_too(app, log):
    async def behave(request):
        return Answer(422, b'{"price":"missing"}')

    async with Web(behave) as web:
        app.get(web.url)(parse)
        assert not await run(app)
    assert log.starting("✘ ") == [f'✘ GET {web.url} 422 Whatever: {{"price":"missing"}}']


# Secrets


async def test_no_query_string_and_no_password_is_logged_by_whomever(app, caplog):
    caplog.set_level(logging.INFO)  # for every logger: the HTTP library has a line for each request

    async def behave(request):
        if request.path == "/here":
            return Answer(302, b"", ("Location: /there?token=opensesame",))
        return Answer(500) if request.path == "/bad" else Answer(200, json.dumps({}).encode())

    async with Web(behave) as web:
        url = web.url.replace("//", "//ada:opensesame@")
        for path in ("here", "good", "bad"):
            app.get(f"{url}/{path}?token=opensesame", params={"key": "opensesame"}, name=path)(check)
        assert not await run(app)
        await web.__aexit__()
        await web.__aenter__()
    async with Web(answer_nothing) as web:
        app.outbound.clear()
        app.get(f"{web.url}/gone?token=opensesame")(take)
        assert not await run(app)
    assert "HTTP Request: GET http://***@127.0.0.1" in caplog.text
    assert "opensesame" not in caplog.text


# Stopping


async def test_a_stop_cancels_requests_and_opens_no_socket(app, peer):
    server = await peer()
    seen = []

    @app.ws(server.url)
    async def feed(ws): ...

    async with Web() as web:

        @app.get(web.url)
        async def handle(resp):
            seen.append("begun")
            try:
                await asyncio.sleep(3600)
            finally:
                seen.append("finally")

        async with running(app) as it:
            await soon(lambda: seen)
            it.stop()
            assert await it.ended()
    assert (seen, server.visits) == (["begun", "finally"], [])
