"""The handler of an outbound route: what its end, its errors and its close mean for the route."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from django_fastws import Reconnect, RouteError, WebSocketDisconnect, WebSocketException
from tests.clients.handlers import by_async_for, by_recv, once

from .conftest import run, running
from .peers import closing, sending, shake_hands, soon


async def test_a_handler_that_returns_ends_its_route_and_a_warning_says_so(app, peer, log):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=-1, name="feed")(once)
    assert await run(app)
    (warning,) = [record for record in log.records if record.levelname == "WARNING"]
    assert warning.getMessage().startswith("Route feed has ended: its handler has returned (1000).")
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == (1000, "")
    assert (len(server.asked), log.endings) == (1, ["1000"])


async def leave_by_close(ws):
    await ws.close(4000, "enough")
    await asyncio.sleep(0)


async def leave_by_exception(ws):
    raise WebSocketException(4000, "enough")


async def leave_by_exception_in_a_task(ws):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(leave_by_exception(ws))


LEAVING = [leave_by_close, leave_by_exception, leave_by_exception_in_a_task]


@pytest.mark.parametrize("leave", LEAVING, ids=lambda it: it.__name__)
async def test_a_handler_that_closes_an_endless_route_ends_it_loudly(app, peer, log, leave):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=-1, name="feed")(leave)
    assert not await run(app)
    assert (len(server.asked), log.endings) == (1, ["4000 enough"])
    (warning,) = [record for record in log.records if record.levelname == "WARNING"]
    assert warning.getMessage().startswith("Route feed has ended: its handler has closed the connection (4000")
    assert "restart_on_end=True" in warning.getMessage()


@pytest.mark.parametrize("leave", LEAVING, ids=lambda it: it.__name__)
async def test_a_handler_that_closes_a_route_with_an_end_has_not_failed(app, peer, log, leave):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=5)(leave)
    app.ws(server.url, name="only once")(leave)
    assert await run(app)
    assert len(log.starting("Route tests.clients.test_handling.leave")) == 1


@pytest.mark.parametrize("leave", [*LEAVING, once], ids=lambda it: it.__name__)
async def test_restart_on_end_connects_again_after_the_handlers_own_end(app, peer, leave):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=-1, restart_on_end=True)(leave)
    async with running(app) as it:
        await soon(lambda: len(server.asked) > 3)
        it.stop()
        assert await it.ended()


async def test_restart_on_end_counts_retries(app, peer):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=2, restart_on_end=True)(once)
    assert not await run(app)
    assert len(server.asked) == 3


@pytest.mark.parametrize("options", [{}, {"reconnect": True, "max_retries": -1}, {"reconnect": True}])
async def test_a_planned_reconnect_needs_no_option_and_is_no_retry(app, peer, log, options):
    server = await peer()
    attempts = []

    @app.ws(server.url, **options)
    async def handler(ws):
        attempts.append(ws.attempt)
        if len(attempts) < 4:
            raise Reconnect(delay=0, reason="new token")

    assert await run(app)
    assert attempts == [0] * 4
    assert [(await visit.ended()).close_code for visit in server.visits] == [1000] * 4
    assert server.visits[0].close_reason == "new token"


async def test_a_planned_reconnect_waits_as_long_as_it_says(app, peer, log):
    server = await peer()

    @app.ws(server.url)
    async def handler(ws):
        raise Reconnect(delay=300)

    async with running(app):
        await soon(lambda: log.starting("WebSocket connecting again in 300.0 seconds"))
    assert len(server.asked) == 1


async def test_a_planned_reconnect_after_the_peer_has_closed(app, peer):
    server = await peer(closing(1001, 1001))

    @app.ws(server.url)
    async def handler(ws):
        try:
            await ws.receive_text()
            await ws.receive_text()
        except WebSocketDisconnect:
            raise Reconnect from None

    async with running(app):
        await server.visit(2)


@pytest.mark.parametrize("delay", [-1, float("inf"), float("nan"), "5", True])
def test_a_delay_that_cannot_be(delay):
    with pytest.raises(ValueError, match="neither a number of seconds from 0 nor None"):
        Reconnect(delay)


def test_restart_on_end_without_reconnect_is_a_mistake(app):
    with pytest.raises(RouteError, match="restart_on_end=True needs reconnect=True"):
        app.ws("ws://example.com", restart_on_end=True)(once)


async def test_a_stop_is_an_end_that_was_asked_for(app, peer, log):
    server = await peer()
    app.ws(server.url, reconnect=True, max_retries=-1, name="feed")(by_async_for)
    async with running(app) as it:
        await server.visit()
        it.stop()
        assert await it.ended()
    assert log.starting("Route ") == ["Route feed was stopped"]
    assert {record.levelname for record in log.records} == {"INFO"}


async def test_an_error_of_the_handler_fails_its_route_and_no_other(app, peer, log):
    server, other = await peer(), await peer()
    seen = []

    @app.ws(server.url, reconnect=True, max_retries=-1, name="broken")
    async def broken(ws):
        raise ValueError("no price")

    @app.ws(other.url)
    async def goes_on(ws):
        await soon(lambda: log.starting("Route "))
        await ws.send("still here")
        seen.append(await ws.recv_str())

    assert not await run(app)
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == (1011, "internal error")
    assert seen == ["still here"]
    assert len(server.asked) == 1
    assert "Traceback" in log.text
    assert 'raise ValueError("no price")' in log.text
    assert log.starting("Route ") == ["Route broken has failed: 1011 internal error: ValueError: no price"]


class Price(BaseModel):
    price: int


async def as_a_price(ws):
    await ws.receive_as(Price)


async def as_json(ws):
    await ws.receive_json()


async def as_bytes(ws):
    await ws.receive_bytes()


async def in_a_task(ws):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(as_json(ws))


@pytest.mark.parametrize(
    ("handler", "sent", "end"),
    [
        (as_json, "{", (1007, "the message is not JSON")),
        (in_a_task, "{", (1007, "the message is not JSON")),
        (as_bytes, "text", (1003, "binary is expected")),
        (as_a_price, "{}", (1008, "price: Field required")),
    ],
)
async def test_what_the_peer_got_wrong_fails_the_route_and_is_told_to_the_peer(app, peer, log, handler, sent, end):
    server = await peer(sending(sent))
    app.ws(server.url, reconnect=True, max_retries=-1, name="feed")(handler)
    assert not await run(app)
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == end
    (line,) = log.starting("Route ")
    assert line.startswith(f"Route feed has failed: {end[0]} {end[1]}: ")


async def test_a_typed_message_of_a_peer(app, peer, log):
    server = await peer(sending('{"price":7}'))
    seen = []

    @app.ws(server.url)
    async def feed(ws):
        seen.append(await ws.receive_as(Price))

    assert await run(app)
    assert seen == [Price(price=7)]


async def test_an_error_after_the_peer_has_left_is_no_connection_error(app, peer, log):
    server = await peer(closing(4000))

    @app.ws(server.url, reconnect=True, max_retries=-1)
    async def broken(ws):
        async for _ in ws:
            pass
        raise ValueError("too late")

    assert not await run(app)
    assert log.endings == ["4000: ValueError: too late"]


async def test_retry_on_error_connects_again_and_logs_every_traceback(app, peer, log):
    server = await peer()
    attempts = []

    @app.ws(server.url, reconnect=True, max_retries=3, retry_on_error=True)
    async def broken(ws):
        attempts.append(ws.attempt)
        if len(attempts) < 3:
            raise ValueError("no price")

    assert await run(app)
    assert attempts == [0, 1, 2]
    assert log.text.count("Traceback") == 2


async def test_retry_on_error_gives_up_after_max_retries(app, peer):
    server = await peer()

    @app.ws(server.url, reconnect=True, max_retries=2, retry_on_error=True)
    async def broken(ws):
        raise ValueError

    assert not await run(app)
    assert len(server.asked) == 3


@pytest.mark.parametrize("stray", ["raised", "awaited"])
async def test_a_cancellation_that_is_not_the_routes_own_fails_it_and_no_other(app, peer, log, stray):
    """A handler that waits for a cancelled task gets CancelledError, and nobody has cancelled the route."""
    server, other = await peer(), await peer()
    seen = []

    @app.ws(server.url, name="stray")
    async def cancelled(ws):
        if stray == "raised":
            raise asyncio.CancelledError
        task = asyncio.create_task(asyncio.sleep(3600))
        asyncio.get_running_loop().call_soon(task.cancel)
        await task

    @app.ws(other.url)
    async def goes_on(ws):
        await soon(lambda: log.starting("Route "))
        await ws.send("still here")
        seen.append(await ws.recv_str())

    assert not await run(app)
    assert seen == ["still here"]
    assert (await server.visits[0].ended()).close_code == 1011
    assert "Traceback" in log.text


async def test_an_error_among_the_disconnects_of_a_task_group_is_found(app, peer, log):
    server = await peer(closing(1000))

    async def broken(ws):
        await soon(lambda: ws.closed)
        raise ValueError("in a task")

    @app.ws(server.url, reconnect=True, max_retries=-1)
    async def both(ws):
        raise ExceptionGroup("tasks", [WebSocketDisconnect(1000), ValueError("in a task")])

    assert not await run(app)
    assert 'ValueError("in a task")' in log.text
    assert len(server.asked) == 1


async def test_a_close_that_a_task_of_a_group_asks_for_is_carried_out(app, peer):
    server = await peer()

    @app.ws(server.url)
    async def both(ws):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(by_recv(ws))
            tasks.create_task(refuse())

    async def refuse():
        raise WebSocketException(4003, "not for me")

    assert await run(app)
    assert (await server.visits[0].ended()).close_code == 4003


async def test_a_connection_error_of_something_else_is_retried_and_named(app, peer, log):
    """The channel layer, a database, another service: it may be back with the next connection."""
    server = await peer()
    attempts = []

    @app.ws(server.url, reconnect=True, max_retries=3)
    async def relay(ws):
        attempts.append(ws.attempt)
        if len(attempts) == 1:
            raise ConnectionRefusedError("no Redis")

    assert await run(app)
    assert attempts == [0, 1]
    assert log.endings == ["1011 internal error: ConnectionRefusedError: no Redis", "1000"]


async def test_a_connection_error_of_something_else_is_named_also_after_the_peer_has_left(app, peer, log):
    server = await peer(closing(1000))

    @app.ws(server.url)
    async def relay(ws):
        async for _ in ws:
            pass
        raise ConnectionRefusedError("no Redis")

    await run(app)
    assert log.endings == ["1000: ConnectionRefusedError: no Redis"]


async def test_a_handler_that_gave_up_closing_is_not_waited_for_longer_than_the_close_timeout(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await asyncio.Event().wait()

    server = await raw_peer(behave)

    @app.ws(server.url, close_timeout=0.3, ping_interval=None)
    async def leave(ws):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ws.close(4000), 0.05)

    assert await run(app)
