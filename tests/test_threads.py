"""The threads that sync code of handlers runs in; ``test_database.py`` has servers and databases."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import SyncToAsync, ThreadSensitiveContext, async_to_sync, sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.db import database_sync_to_async
from channels.routing import URLRouter
from channels.testing import WebsocketCommunicator
from django.contrib.auth.models import AnonymousUser
from django.db import connection, transaction
from django.test import SimpleTestCase, override_settings
from django.urls import path

from django_fastws import FastWS, WebSocket
from django_fastws import threads as module
from django_fastws.asgi import AuthMiddleware, Handshake, get_asgi_application
from django_fastws.routing import websocket_urlpatterns
from django_fastws.testing import connect
from django_fastws.threads import Threads, threads
from django_fastws.users import middleware as user_middleware
from tests.support.pools import loads, look_often
from tests.support.subprocesses import run

LIMIT = 30  # seconds that any one thing may take


def name_of_thread() -> str:
    return threading.current_thread().name


def is_ours(name: str) -> bool:
    return name.startswith("django-fastws-")


def running() -> set[str]:
    return {thread.name for thread in threading.enumerate() if is_ours(thread.name)}


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def no_thread_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """All end when nobody has them any more: each test sees to it that nobody has, and this waits for it."""
    assert running() == set()
    look_often(monkeypatch)
    yield
    for thread in threading.enumerate():
        if is_ours(thread.name):
            thread.join(LIMIT)
    assert running() == set()
    assert all(load.users == 0 for load in loads(threads))


class Block:
    """A sync function that ends when it is told to.

    Attributes:
        begun: whether it runs.
    """

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._go_on = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        assert self._go_on.wait(LIMIT)
        return name_of_thread()

    def end(self) -> None:
        self._go_on.set()


@contextlib.asynccontextmanager
async def blocked(pool: Threads, block: Block) -> Any:
    """One of the threads is busy within the block."""

    async def run() -> str:
        with pool.assigned():
            return await sync_to_async(block)()

    task = asyncio.create_task(run())
    await until(block.begun.is_set)
    try:
        yield task
    finally:
        block.end()
        await task


# Which thread


async def test_sync_code_of_one_handler_runs_in_one_thread():
    pool = Threads(4)
    with pool.assigned():
        names = [await sync_to_async(name_of_thread)() for _ in range(5)]
        names.append(await database_sync_to_async(name_of_thread)())
    assert is_ours(names[0])
    assert len(set(names)) == 1


async def test_a_thread_starts_when_it_is_needed_not_before():
    pool = Threads(4)
    with pool.assigned():
        await asyncio.sleep(0)
        assert running() == set()
        await sync_to_async(name_of_thread)()
        assert len(running()) == 1


async def test_handlers_spread_over_the_threads_and_no_more():
    pool = Threads(3)
    everybody = asyncio.Barrier(30)

    async def handler() -> str:
        with pool.assigned():
            await everybody.wait()  # while none has something to do, only their number counts
            return await sync_to_async(name_of_thread)()

    names = await asyncio.gather(*(handler() for _ in range(30)))
    assert [names.count(name) for name in set(names)] == [10, 10, 10]


async def test_a_busy_thread_is_given_to_nobody_while_others_are_free():
    pool = Threads(2)
    async with blocked(pool, block := Block()) as slow:
        for _ in range(20):
            with pool.assigned():
                async with asyncio.timeout(LIMIT):
                    name = await sync_to_async(name_of_thread)()
        block.end()
        assert await slow != name


async def test_a_busy_thread_is_avoided_though_it_has_fewer_handlers():
    pool = Threads(2)
    end = asyncio.Event()

    async def idle() -> None:
        with pool.assigned():
            await end.wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(idle())
        await until(lambda: [load.users for load in loads(pool)] == [2, 2])
        async with blocked(pool, block := Block()) as slow:
            with pool.assigned():
                others = [await sync_to_async(name_of_thread)()]
            for _ in range(3):
                group.create_task(idle())
            await until(lambda: sum(load.users for load in loads(pool)) == 8)
            with pool.assigned():
                others.append(await sync_to_async(name_of_thread)())
            block.end()
            assert await slow not in others
        end.set()


async def test_a_thread_with_fewer_handlers_is_taken_before_one_with_more():
    pool = Threads(2)

    async def handler(end: asyncio.Event) -> None:
        with pool.assigned():
            names.append(await sync_to_async(name_of_thread)())
            await end.wait()

    names: list[str] = []
    ends = [asyncio.Event() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for end in ends:
            begun = len(names)
            group.create_task(handler(end))
            await until(lambda begun=begun: len(names) > begun)
        first = names[0]
        assert names.count(first) == 2
        # The two of the first thread leave; taken in turn, every second one would go to the other.
        for end, name in zip(ends, list(names), strict=True):
            if name == first:
                end.set()
        await until(lambda: loads(pool)[int(first[-1])].users == 0)
        for _ in range(2):
            ends.append(asyncio.Event())
            group.create_task(handler(ends[-1]))
            await until(lambda: len(names) == len(ends))
        assert names[4:] == [first, first]
        for end in ends:
            end.set()


async def test_the_number_of_threads_is_read_when_a_handler_begins():
    pool = Threads()

    async def names(number: int) -> set[str]:
        async def handler() -> str:
            with pool.assigned():
                await everybody.wait()
                return await sync_to_async(name_of_thread)()

        everybody = asyncio.Barrier(number)
        return set(await asyncio.gather(*(handler() for _ in range(number))))

    for setting, expected in [(1, 1), (3, 3), (2, 2), (0, 1)]:
        with override_settings(FASTWS_DB_THREADS=setting):
            assert len(await names(6)) == expected
    assert len(await names(6)) == 4  # the default


async def test_threads_that_a_smaller_setting_leaves_over_end():
    pool = Threads()
    with override_settings(FASTWS_DB_THREADS=3):
        await asyncio.gather(*(hold(pool) for _ in range(3)))
    with override_settings(FASTWS_DB_THREADS=1), pool.assigned():
        name = await sync_to_async(name_of_thread)()
        await until(lambda: running() == {name})


async def hold(pool: Threads) -> None:
    with pool.assigned():
        await sync_to_async(name_of_thread)()


# What handlers do


async def test_tasks_of_a_handler_use_its_thread():
    pool = Threads(4)
    with pool.assigned():
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sync_to_async(name_of_thread)()) for _ in range(5)]
        names = {task.result() for task in tasks} | {await asyncio.create_task(sync_to_async(name_of_thread)())}
    assert len(names) == 1
    assert is_ours(names.pop())


async def test_a_context_within_the_handler_changes_nothing():
    pool = Threads(4)
    with pool.assigned():
        before = await sync_to_async(name_of_thread)()
        async with ThreadSensitiveContext():
            within = await sync_to_async(name_of_thread)()
        assert before == within == await sync_to_async(name_of_thread)()


async def test_a_context_around_is_left_as_it_is():
    pool = Threads(4)
    async with ThreadSensitiveContext():
        around = await sync_to_async(name_of_thread)()
        with pool.assigned():
            assert await sync_to_async(name_of_thread)() == around
    assert not is_ours(around)


async def test_blocks_within_blocks_are_one():
    pool, other = Threads(4), Threads(4)
    with pool.assigned():
        name = await sync_to_async(name_of_thread)()
        with pool.assigned(), other.assigned():
            assert await sync_to_async(name_of_thread)() == name
        assert [load.users for load in loads(pool)] == [1, 0, 0, 0]
        assert loads(other) == []
    assert [load.users for load in loads(pool)] == [0, 0, 0, 0]
    assert not is_ours(await sync_to_async(name_of_thread)())


async def test_to_thread_and_code_that_is_not_thread_sensitive_go_their_own_way():
    pool = Threads(1)
    async with blocked(pool, Block()):
        with pool.assigned():
            assert not is_ours(await asyncio.to_thread(name_of_thread))
            assert not is_ours(await sync_to_async(name_of_thread, thread_sensitive=False)())


async def test_sync_code_that_calls_async_code_that_calls_sync_code_stays_in_the_thread():
    pool = Threads(1)

    async def inner() -> set[str]:
        tasks = [asyncio.create_task(sync_to_async(name_of_thread)()) for _ in range(2)]
        return {await sync_to_async(name_of_thread)(), *await asyncio.gather(*tasks)}

    with pool.assigned():
        async with asyncio.timeout(LIMIT):
            names = await sync_to_async(async_to_sync(inner))()
        assert names == {await sync_to_async(name_of_thread)()}


async def test_a_task_that_outlives_its_handler_still_has_its_thread():
    pool = Threads(2)
    end = asyncio.Event()

    async def outlive() -> str:
        await end.wait()
        return await sync_to_async(name_of_thread)()

    with pool.assigned():
        task = asyncio.create_task(outlive())
        name = await sync_to_async(name_of_thread)()
    await until(lambda: running() == set())
    end.set()
    assert await task == name


async def test_an_error_reaches_the_handler_and_leaves_the_thread_as_it_was():
    pool = Threads(1)

    def fail() -> None:
        raise LookupError(name_of_thread())

    with pool.assigned():
        with pytest.raises(LookupError) as raised:
            await sync_to_async(fail)()
        assert str(raised.value) == await sync_to_async(name_of_thread)()


async def test_a_handler_that_is_cancelled_in_the_middle_ends_at_once_and_its_thread_goes_on():
    pool = Threads(1)
    block, done = Block(), asyncio.Event()

    async def handler() -> None:
        try:
            with pool.assigned():
                await sync_to_async(block)()
        finally:
            done.set()

    task = asyncio.create_task(handler())
    await until(block.begun.is_set)
    task.cancel()
    async with asyncio.timeout(LIMIT):
        await done.wait()
    assert loads(pool)[0].jobs == 1
    block.end()
    with pool.assigned():
        assert is_ours(await sync_to_async(name_of_thread)())


async def test_what_was_cancelled_while_it_waited_is_not_called():
    pool = Threads(1)
    called: list[int] = []
    async with blocked(pool, Block()):

        async def handler() -> None:
            with pool.assigned():
                await sync_to_async(called.append)(1)

        task = asyncio.create_task(handler())
        await until(lambda: loads(pool)[0].jobs == 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await hold(pool)
    assert called == []


async def test_a_coroutine_that_is_thrown_away_gives_its_thread_back():
    pool = Threads(1)

    async def handler() -> None:
        with pool.assigned():
            await asyncio.Event().wait()

    coroutine = handler()
    contextvars.copy_context().run(coroutine.send, None)
    assert loads(pool)[0].users == 1
    coroutine.close()  # in another context than the one it ran in
    assert loads(pool)[0].users == 0


# The end


async def test_close_ends_the_threads_after_what_they_do():
    pool = Threads(2)
    block = Block()
    async with blocked(pool, block) as task, asyncio.timeout(LIMIT):
        await pool.close(timeout=0.01)  # it does not wait for the one that is busy
        assert not task.done()
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(0)
        assert not closing.done()
        block.end()
        await closing
    assert is_ours(await task)
    await until(lambda: running() == set())
    await hold(pool)  # it can be used again


async def test_close_waits_not_for_what_comes_later():
    pool = Threads(1)
    with pool.assigned():
        async with blocked(pool, block := Block()):
            closing = asyncio.create_task(pool.close())
            await asyncio.sleep(0)
            late = asyncio.create_task(sync_to_async(name_of_thread)())
            block.end()
            async with asyncio.timeout(LIMIT):
                await closing
                assert is_ours(await late)


async def test_close_without_a_thread_returns():
    await Threads(1).close()


def test_the_exit_of_the_process_waits_for_the_drain_time_at_most():
    pool = Threads(1)
    block = Block()

    async def handler() -> None:
        with pool.assigned(), contextlib.suppress(asyncio.CancelledError):
            await sync_to_async(block)()

    async def main() -> None:
        task = asyncio.create_task(handler())
        await until(block.begun.is_set)
        task.cancel()
        await task

    asyncio.run(main())
    with override_settings(FASTWS_DRAIN_SECONDS=0.01):
        pool.close_at_exit()
    assert running()
    block.end()
    pool.close_at_exit()  # the fixture sees that it has ended


# Where threads are assigned: applications as a server calls them


class Asked(AsyncConsumer):
    async def websocket_connect(self, event: Any) -> None:
        name = await sync_to_async(name_of_thread)()
        await self.send({"type": "websocket.accept"})
        await self.send({"type": "websocket.send", "text": name})


class AskedSync(SyncConsumer):
    def websocket_connect(self, event: Any) -> None:
        self.send({"type": "websocket.accept"})
        self.send({"type": "websocket.send", "text": name_of_thread()})


async def asked(ws: WebSocket) -> None:
    name = await sync_to_async(name_of_thread)()
    await ws.accept()
    await ws.send(name)


def scope(**more: Any) -> dict[str, Any]:
    return {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "path": "/asked",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "subprotocols": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        **more,
    }


async def answer(application: Any, made: dict[str, Any]) -> str:
    """The name of the thread that a handler tells."""
    communicator: Any = ApplicationCommunicator(application, made)
    await communicator.send_input({"type": "websocket.connect"})
    assert (await communicator.receive_output(LIMIT))["type"] == "websocket.accept"
    name: str = (await communicator.receive_output(LIMIT))["text"]
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    communicator.stop()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await communicator.future
    return name


def names_the_thread(inner: Any) -> Any:
    """Middleware with sync code of its own, which tells where it ran."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        scope["told"].append(await sync_to_async(name_of_thread)())
        await inner(scope, receive, send)

    return middleware


@pytest.mark.parametrize("handler", [asked, Asked, AskedSync])
@pytest.mark.parametrize("composed", ["whole", "by hand", "alone"])
async def test_every_way_to_serve_a_handler_assigns_a_thread(routes, handler, composed):
    FastWS().websocket("/asked")(handler)
    application: Any
    if composed == "whole":
        application = get_asgi_application(websocket_middleware=[names_the_thread])
    elif composed == "by hand":
        application = Handshake(names_the_thread(URLRouter(websocket_urlpatterns())))
    else:
        application = URLRouter(websocket_urlpatterns())
    told: list[str] = []
    name = await answer(application, scope(told=told, session={}))
    assert is_ours(name)
    assert told in ([], [name])


async def test_a_handler_that_is_mounted_is_assigned_a_thread(routes):
    FastWS().websocket("/asked")(asked)
    application: Any = URLRouter([path("asked", asked.as_asgi())])  # type: ignore[attr-defined]
    assert is_ours(await answer(application, scope()))


async def test_the_user_is_loaded_in_the_handlers_thread(routes, monkeypatch):
    FastWS().websocket("/asked")(asked)
    users: list[str] = []

    def load_user(session: Any) -> AnonymousUser:
        users.append(name_of_thread())
        return AnonymousUser()

    monkeypatch.setattr(user_middleware, "load_user", load_user)
    session = SimpleNamespace(session_key="abc", get={"_auth_user_id": "1"}.get)
    name = await answer(AuthMiddleware(URLRouter(websocket_urlpatterns())), scope(session=session))
    assert users == [name]
    assert is_ours(name)


async def test_slow_sync_rules_hold_up_no_handshake_of_others(routes, settings, monkeypatch):
    settings.FASTWS_DB_THREADS = 2
    go_on, begun = threading.Event(), []

    def slow(ws: WebSocket) -> bool:
        begun.append(ws)
        return go_on.wait(LIMIT)

    async def greet(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send("hello")

    FastWS().websocket("/asked", permission=slow)(asked)
    FastWS().websocket("/greet")(greet)
    monkeypatch.setattr(user_middleware, "load_user", lambda session: AnonymousUser())
    application = get_asgi_application()
    slow_ones = [asyncio.ensure_future(answer(application, scope(session={}))) for _ in range(2)]
    try:
        await until(lambda: len(begun) == 2)
        session = SimpleNamespace(session_key="abc", get={"_auth_user_id": "1"}.get)
        assert await answer(application, scope(path="/greet", session=session)) == "hello"
        assert not any(task.done() for task in slow_ones)
    finally:
        go_on.set()
        await asyncio.gather(*slow_ones)


async def test_short_work_runs_elsewhere_only_while_the_thread_is_busy():
    some, begun, go_on = Threads(1), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go_on.wait(LIMIT)

    try:
        with some.assigned():
            with some.unblocked():
                assert await sync_to_async(name_of_thread)() == "django-fastws-0"
            busy = asyncio.ensure_future(sync_to_async(wait)())
            while not begun.is_set():  # noqa: ASYNC110 (a thread's event)
                await asyncio.sleep(0.001)
            with some.unblocked():
                assert await sync_to_async(name_of_thread)() == "django-fastws-spare"
            go_on.set()
            await busy
            assert await sync_to_async(name_of_thread)() == "django-fastws-0"
    finally:
        await some.close()
    await until(lambda: not running())


async def test_short_work_of_the_packages_own_runs_in_the_same_threads_without_asgiref(monkeypatch):
    monkeypatch.setattr(SyncToAsync, "__call__", lambda *args, **kwargs: pytest.fail("asgiref is asked"))
    some, block = Threads(1), Block()

    def name(_: object) -> str:
        return name_of_thread()

    with some.assigned():
        short = some.call_at_once(name, None)
        assert short is not None
        assert await short == "django-fastws-0"
        busy = some.call_at_once(lambda _: block(), None)
        assert busy is not None
        await until(block.begun.is_set)
        short = some.call_at_once(name, None)
        assert short is not None
        assert await short == "django-fastws-spare"
        await asyncio.sleep(0)
        assert some._spare is not None
        assert some._spare[1].users == 0
        block.end()
        assert await busy == "django-fastws-0"


async def test_short_work_is_left_to_asgiref_where_somebody_else_says_where_it_runs(settings):
    some = Threads(1)
    assert some.call_at_once(len, "x") is None  # no thread is assigned
    async with ThreadSensitiveContext():
        assert some.call_at_once(len, "x") is None
    with some.assigned():
        settings.FASTWS_DB_SETUP = print
        assert some.call_at_once(len, "x") is None
        settings.FASTWS_DB_SETUP = None
        short = some.call_at_once(len, "x")
        assert short is not None
        assert await short == 1


async def test_a_handler_that_calls_nothing_sync_costs_no_thread(routes):
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for message in ws:
            await ws.send(message.data)

    FastWS().websocket("/asked")(echo)
    communicator: Any = ApplicationCommunicator(get_asgi_application(), scope())
    await communicator.send_input({"type": "websocket.connect"})
    await communicator.receive_output(LIMIT)
    for number in range(100):
        await communicator.send_input({"type": "websocket.receive", "text": str(number)})
        assert (await communicator.receive_output(LIMIT))["text"] == str(number)
    assert running() == set()
    await communicator.send_input({"type": "websocket.disconnect", "code": 1000})
    await communicator.wait()


# Where they are not: in tests


async def test_with_the_test_client_sync_code_runs_where_the_tests_own_does(routes):
    FastWS().websocket("/asked")(asked)
    async with connect("/asked") as ws:
        assert await ws.receive_text() == await sync_to_async(name_of_thread)()
    assert running() == set()


async def test_with_the_communicator_of_channels_too(routes):
    FastWS().websocket("/asked")(asked)
    communicator: Any = WebsocketCommunicator(get_asgi_application(), "/asked")
    await communicator.connect()
    assert await communicator.receive_from() == await sync_to_async(name_of_thread)()
    await communicator.disconnect()


class InATestCase(SimpleTestCase):
    @pytest.fixture(autouse=True)
    def _routes(self, routes):
        FastWS().websocket("/asked")(asked)

    async def test_the_tests_own_thread_runs_the_sync_code_of_handlers(self):
        async with connect("/asked") as ws:
            assert await ws.receive_text() == "MainThread"

    async def test_whatever_calls_the_application(self):
        assert await answer(get_asgi_application(), scope()) == "MainThread"


# Connections


@pytest.mark.django_db(transaction=True)
async def test_a_transaction_that_is_held_over_an_await_keeps_its_connection(monkeypatch):
    look_often(monkeypatch, 0.0)  # whatever is too old is closed before every call
    looked: list[bool] = []
    block = transaction.atomic()

    def open_connection() -> None:
        connection.ensure_connection()
        connection.close_if_unusable_or_obsolete = lambda: looked.append(connection.in_atomic_block)

    pool = Threads(1)
    with pool.assigned():
        await sync_to_async(open_connection)()
        await sync_to_async(name_of_thread)()
        assert looked
        looked.clear()
        await sync_to_async(block.__enter__)()
        looked.clear()
        for _ in range(3):
            await sync_to_async(name_of_thread)()
        assert looked == []
        await sync_to_async(block.__exit__)(None, None, None)
        await sync_to_async(lambda: connection.connection.close())()  # Django closes none in memory


async def test_the_end_of_an_applications_lifespan_ends_the_threads(routes):
    FastWS().websocket("/asked")(asked)
    application = get_asgi_application()
    with threads.assigned():
        await sync_to_async(name_of_thread)()
        (thread,) = [thread for thread in threading.enumerate() if is_ours(thread.name)]
        lifespan: Any = ApplicationCommunicator(application, {"type": "lifespan", "asgi": {"version": "3.0"}})
        for what in ("startup", "shutdown"):
            await lifespan.send_input({"type": f"lifespan.{what}"})
            assert await lifespan.receive_output(LIMIT) == {"type": f"lifespan.{what}.complete"}
        await lifespan.wait()
        thread.join(LIMIT)
        assert not thread.is_alive()


@pytest.mark.slow
def test_connections_are_closed_when_the_process_ends():
    ended = run(
        """
        import asyncio, threading, django
        django.setup()
        from asgiref.sync import sync_to_async
        from django.db import connections
        from django_fastws.threads import threads

        connections.close_all = lambda: print("closed in", threading.current_thread().name)

        async def handler():
            threads.assigned()  # and never released
            await sync_to_async(str)()

        asyncio.run(handler())
        """,
        {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed in django-fastws-0\n", "")


@pytest.mark.django_db(transaction=True)
async def test_an_error_of_closing_a_connection_is_logged_and_stops_nothing(caplog):
    def fail() -> None:
        raise RuntimeError("on purpose")

    def spoil() -> None:
        connection.ensure_connection()
        connection.errors_occurred = True
        connection.is_usable = fail  # of this thread's connection alone

    with Threads(1).assigned():
        await sync_to_async(spoil)()
        assert is_ours(await sync_to_async(name_of_thread)())
        await sync_to_async(lambda: connection.connection.close())()  # Django closes none in memory
    assert caplog.messages[0] == "A database connection could not be closed"


# Another asgiref


async def test_an_asgiref_without_what_several_threads_need_has_one(monkeypatch, caplog):
    monkeypatch.delattr(SyncToAsync, "context_to_thread_executor")
    assert not module._is_possible()
    assert "SyncToAsync.context_to_thread_executor" in caplog.text
    monkeypatch.setattr(module, "_HAS_SEVERAL", False)
    with threads.assigned(), threads.unblocked():
        assert not is_ours(await sync_to_async(name_of_thread)())
    assert running() == set()
