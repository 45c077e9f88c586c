"""What must not be lost: the recipe of the page on delivery, and why it is not the obvious one."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.docs.blocks import DOCS, example_block, scripts
from tests.docs.client import LIMIT
from tests.docs.reader import Reader
from tests.docs.test_browser import console_of

pytestmark = [pytest.mark.slow]

WITH_SOCKETS = """\
from django.db import IntegrityError, transaction
from django.test import TransactionTestCase
from django_fastws.testing import connect

from chat.consumers import add_comment
from chat.models import Comment, Topic


def comment(number, text):
    return {"number": number, "text": text}


class Tests(TransactionTestCase):
    def setUp(self):
        Topic.objects.create(name="tea")
        Topic.objects.create(name="coffee")

    async def test_what_is_new_comes_by_the_room_and_what_was_missed_from_the_database(self):
        async with connect("/ws/comments/tea") as ws:
            self.assertEqual(await ws.receive_json(), {"comments": [], "seen": 0, "last": 0})
            for number, text in enumerate(["black", "green"], 1):
                await ws.send({"text": text})
                self.assertEqual(await ws.receive_json(), comment(number, text))
        async with connect("/ws/comments/tea?seen=1") as ws:
            self.assertEqual(
                await ws.receive_json(), {"comments": [comment(2, "green")], "seen": 2, "last": 2}
            )
            await ws.send({"seen": 0})
            answer = await ws.receive_json()
            self.assertEqual(answer["comments"], [comment(1, "black"), comment(2, "green")])
            await ws.send({"text": "white"})
            self.assertEqual(await ws.receive_json(), comment(3, "white"))
        async with connect("/ws/comments/coffee") as ws:
            self.assertEqual(await ws.receive_json(), {"comments": [], "seen": 0, "last": 0})

    async def test_what_is_long_comes_in_pages(self):
        topic = await Topic.objects.aget(name="tea")
        await Comment.objects.abulk_create(
            Comment(topic=topic, number=number, text=str(number)) for number in range(1, 251)
        )
        await Topic.objects.filter(name="tea").aupdate(last=250)
        seen, numbers = 0, []
        async with connect("/ws/comments/tea") as ws:
            while True:
                answer = await ws.receive_json()
                self.assertEqual(answer["last"], 250)
                self.assertLessEqual(len(answer["comments"]), 100)
                numbers += [found["number"] for found in answer["comments"]]
                seen = answer["seen"]
                if seen == 250:
                    break
                await ws.send({"seen": seen})
        self.assertEqual(numbers, list(range(1, 251)))

    async def test_what_is_deleted_is_passed_over(self):
        await Topic.objects.filter(name="tea").aupdate(last=7)
        async with connect("/ws/comments/tea") as ws:
            self.assertEqual(await ws.receive_json(), {"comments": [], "seen": 7, "last": 7})

    def test_a_transaction_that_is_rolled_back_leaves_no_gap(self):
        with self.assertRaises(RuntimeError), transaction.atomic():
            add_comment("tea", "never")
            raise RuntimeError
        with self.assertRaises(IntegrityError):
            add_comment("tea", None)
        add_comment("tea", "black")
        self.assertEqual(Comment.objects.get().number, 1)
"""

ON_POSTGRESQL = '''\
import time
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test import TransactionTestCase

from chat.consumers import add_comment, page_after
from chat.models import Comment, Topic


class Elsewhere:
    """Another process, as far as the database can tell: a thread with a connection of its own."""

    def __enter__(self):
        self.executor = ThreadPoolExecutor(1)
        return lambda *call: self.executor.submit(*call)

    def __exit__(self, *exc_info):
        self.executor.submit(lambda: connection.close()).result()
        self.executor.shutdown()


def texts(seen):
    answer = async_to_sync(page_after)("tea", seen)
    return [comment["text"] for comment in answer["comments"]], answer["seen"]


def wait_until_somebody_waits_for_a_lock():
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits")


class Tests(TransactionTestCase):
    def setUp(self):
        self.topic = Topic.objects.create(name="tea")

    def test_the_highest_primary_key_loses_what_commits_late(self):
        """The obvious way, which the page warns of."""

        def after(pk):
            return list(Comment.objects.filter(pk__gt=pk).order_by("pk"))

        with Elsewhere() as other:
            with transaction.atomic():
                late = Comment.objects.create(topic=self.topic, number=1, text="late")
                other(lambda: Comment.objects.create(topic_id="tea", number=2, text="early")).result()
                (early,) = other(after, 0).result()
            self.assertGreater(early.pk, late.pk)
            self.assertEqual(after(early.pk), [])
            self.assertEqual(len(after(0)), 2)

    def test_numbers_under_a_lock_lose_nothing(self):
        with Elsewhere() as writer, Elsewhere() as reader:
            with transaction.atomic():
                add_comment("tea", "late")
                writing = writer(add_comment, "tea", "early")
                wait_until_somebody_waits_for_a_lock()
                found, seen = reader(texts, 0).result()
                self.assertEqual((found, seen), ([], 0))
            writing.result()
        self.assertEqual(texts(seen), (["late", "early"], 2))
'''


@pytest.fixture
def comments(project) -> Reader:
    """The quick start's project with the page's models and handler."""
    project.do(example_block("catching_up_models", "chat/models.py"))
    project.do(example_block("catching_up", "chat/consumers.py"))
    project.run("python manage.py makemigrations chat")
    return project


def test_nothing_is_missed(comments):
    (comments.directory / "chat" / "tests.py").write_text(WITH_SOCKETS)
    comments.run("python manage.py test")


@pytest.mark.postgres
def test_numbers_follow_the_commits_and_primary_keys_do_not(comments, postgres_server):
    with (comments.directory / "mysite" / "settings.py").open("a") as settings:
        settings.write(f"\nDATABASES = {{'default': {postgres_server.settings!r}}}\n")
    (comments.directory / "chat" / "tests.py").write_text(ON_POSTGRESQL)
    comments.run("python manage.py test")


class Room:
    """The server's end of the page's sockets, as the tests above know it: what it hears, and what it has said."""

    def __init__(self) -> None:
        self.urls: asyncio.Queue[str] = asyncio.Queue()
        self.asked: asyncio.Queue[Any] = asyncio.Queue()
        self.socket: Any = None

    def connected(self, socket: Any) -> None:
        self.socket = socket
        socket.on_message(lambda text: self.asked.put_nowait(json.loads(text)))
        self.urls.put_nowait(socket.url)

    def say(self, *numbers: int) -> None:
        for number in numbers:
            self.socket.send(json.dumps(_comment(number)))

    def answer(self, *numbers: int, seen: int, last: int) -> None:
        comments = [_comment(number) for number in numbers]
        self.socket.send(json.dumps({"comments": comments, "seen": seen, "last": last}))


def _comment(number: int) -> dict[str, Any]:
    return {"number": number, "text": f"comment {number}"}


async def _next(queue: asyncio.Queue[Any]) -> Any:
    return await asyncio.wait_for(queue.get(), LIMIT)


@pytest.mark.asyncio(loop_scope="session")  # the browser's
@pytest.mark.browser
async def test_a_page_shows_all_in_order_though_broadcasts_are_lost(browser):
    room, tab = Room(), await browser.new_page()
    await tab.route("**/*", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    await tab.route_web_socket("**/ws/comments/tea?*", room.connected)
    await tab.goto("http://page.test/")
    console = await console_of(tab)
    (script,) = scripts(DOCS / "explanation" / "delivery.md")
    # What a page's script declares can be called afterwards.
    await tab.add_script_tag(content=script.removeprefix("() => {").removesuffix("}"))

    async def shows(*numbers: int) -> None:
        for number in numbers:
            assert await _next(console) == f"comment {number}"

    assert (await _next(room.urls)).endswith("?seen=0")
    room.answer(1, seen=1, last=1)
    await shows(1)
    # Two was lost, three was deleted.
    room.say(4)
    assert await _next(room.asked) == {"seen": 1}
    room.answer(2, 4, seen=4, last=4)
    await shows(2, 4)
    # What comes twice is shown once.
    room.say(4, 5)
    await shows(5)
    # The last of all was lost: the page asks from time to time. What comes before the answer is not forgotten.
    await tab.evaluate("ask()")
    assert await _next(room.asked) == {"seen": 5}
    room.say(8)
    room.answer(6, 7, seen=7, last=7)
    await shows(6, 7)
    assert await _next(room.asked) == {"seen": 7}
    room.answer(8, seen=8, last=8)
    await shows(8)
    # A long answer comes in pages.
    room.answer(9, seen=9, last=10)
    await shows(9)
    assert await _next(room.asked) == {"seen": 9}
    room.answer(10, seen=10, last=10)
    await shows(10)
    # It comes back where it was.
    await room.socket.close(code=1012)
    assert (await _next(room.urls)).endswith("?seen=10")
    room.answer(11, seen=11, last=11)
    await shows(11)
    assert console.empty()
    assert room.asked.empty()
