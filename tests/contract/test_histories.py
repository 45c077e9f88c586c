"""What every broker that keeps histories owes to publishers and readers, whatever the channel layer."""

from __future__ import annotations

import asyncio
import threading
from itertools import chain
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws import History, Latest
from django_fastws._core.envelope import BROADCAST, CONTROL, Envelope
from django_fastws._core.history_checks import encode_history_check, is_history_check
from django_fastws._core.history_page import HistoryPage, PageQuery
from django_fastws._core.latest import Keyed
from django_fastws._core.positions import Position
from django_fastws.layer import Broker
from tests.contract.subscriber import Subscriber
from tests.site.client import LIMIT, token
from tests.support.scripts import run

pytestmark = pytest.mark.broker("has_history")

LARGE = History(messages=10_000, seconds=3600, bytes=10_000_000)


def event(group: str, data: str | bytes, history: History | None = LARGE, **more: Any) -> Envelope:
    return Envelope(BROADCAST, group, data, history=history, **more)


async def read(broker: Broker, group: str, history: History = LARGE, **query: Any) -> HistoryPage:
    return await broker.aread_history(group, history, PageQuery(**query))


def texts(page: HistoryPage) -> list[Any]:
    return [stored.envelope.data for stored in page.stored]


def facts(envelope: Envelope) -> tuple[Any, ...]:
    """All that is said of an envelope, but who has sent it, and what is not encoded."""
    return (
        envelope.kind,
        envelope.room,
        envelope.data,
        envelope.exclude,
        envelope.is_json,
        envelope.event,
        envelope.author,
        envelope.is_volatile,
    )


# One step


@pytest.mark.broker("is_variant")
async def test_what_is_stored_is_what_was_published_and_as_it_was(broker, group, request):
    has_bytes = "as JSON" not in request.node.name  # it cannot encode them
    sent = [
        event(group, "größe ✓"),
        event(group, '{"a": [1, null]}', is_json=True, event="said"),
        event(group, b"\x00\xff\n\xc1at x:1\n" if has_bytes else "text", exclude="somebody"),
        event(group, "", author="ada", event="größe"),
        event(group, "with a key", idempotency_key="\udcff"),
    ]
    async with Subscriber(broker, group) as received:
        positions = [await broker.apublish(envelope) for envelope in sent[:3]]
        positions += await asyncio.to_thread(lambda: [broker.publish(envelope) for envelope in sent[3:]])
        delivered = await received.take(len(sent))
        page = await read(broker, group)
    assert positions == [Position(page.epoch, offset) for offset in range(1, len(sent) + 1)]
    assert [envelope.position for envelope in delivered] == positions
    assert [facts(envelope) for envelope in delivered] == [facts(envelope) for envelope in sent]
    assert [facts(stored.envelope) for stored in page.stored] == [facts(envelope) for envelope in sent]
    assert [stored.envelope.position for stored in page.stored] == positions
    assert [stored.offset for stored in page.stored] == [1, 2, 3, 4, 5]
    assert page.top == 5
    assert page == await asyncio.to_thread(broker.read_history, group, LARGE, PageQuery())


@pytest.mark.broker("is_variant")
async def test_what_has_no_history_is_published_only(broker, group):
    async with Subscriber(broker, group) as received:
        await broker.apublish(event(group, "stored"))
        assert await broker.apublish(event(group, "passing", None)) is None
        assert await asyncio.to_thread(broker.publish, event(group, "passing, too", None)) is None
        assert [(one.data, one.position is None) for one in await received.take(3)] == [
            ("stored", False),
            ("passing", True),
            ("passing, too", True),
        ]
        assert texts(await read(broker, group)) == ["stored"]


@pytest.mark.broker("is_variant")
async def test_several_at_once_are_stored_in_their_order_and_each_is_told_its_position(broker, group):
    other, latest = token(), Latest(seconds=3600)
    plain = [event((group, other)[number % 2], str(number)) for number in range(100)]
    special = [
        event(group, "once", idempotency_key="key"),
        event(group, "passing", None),
        event(group, "twice", idempotency_key="key"),
        event(other, "value", None, keyed=Keyed("a", False, latest)),
    ]
    async with Subscriber(broker, group) as received:
        found = await asyncio.to_thread(broker.publish_all, [*plain[:50], *special, *plain[50:]])
        page = await read(broker, group)
        assert texts(page) == [*map(str, range(0, 50, 2)), "once", *map(str, range(50, 100, 2))]
        delivered = await received.take(52)
        assert [one.data for one in delivered if one.position] == texts(page)
    once, passing, twice, value = found[50:54]
    assert passing is None
    assert once == twice == page.stored[25].envelope.position
    assert value is not None
    positions = [*found[:50], *found[54:]]
    assert positions[::2] == [one.envelope.position for one in page.stored if one.envelope.data != "once"]
    assert positions[1::2] == [one.envelope.position for one in (await read(broker, other)).stored]


async def test_publishers_at_once_have_one_order_without_holes(broker, group):
    threads, each = 4, 50

    def publish(name: str) -> list[Any]:
        return [(f"{name} {turn}", broker.publish(event(group, f"{name} {turn}"))) for turn in range(each)]

    async def apublish(name: str) -> list[Any]:
        names = [f"{name} {turn}" for turn in range(each)]
        return list(
            zip(names, await asyncio.gather(*(broker.apublish(event(group, name)) for name in names)), strict=True)
        )

    async with Subscriber(broker, group) as received:
        jobs = [asyncio.to_thread(publish, f"thread {number}") for number in range(threads)]
        jobs += [apublish(f"loop {number}") for number in range(threads)]
        published = dict(chain.from_iterable(await asyncio.gather(*jobs)))
        total = 2 * threads * each
        by_offset = {one.position.offset: one.data for one in await received.take(total) if one.position}
        page = await read(broker, group)
    assert [stored.offset for stored in page.stored] == list(range(1, total + 1))
    assert {stored.offset: stored.envelope.data for stored in page.stored} == by_offset
    assert {data: published[data].offset for data in published} == {
        data: offset for offset, data in by_offset.items()
    }
    for name in [f"{kind} {number}" for kind in ("thread", "loop") for number in range(threads)]:
        assert [text for text in texts(page) if text.startswith(f"{name} ")] == [
            f"{name} {turn}" for turn in range(each)
        ]


async def test_publishers_in_two_loops_have_one_order(broker, group):
    def elsewhere() -> None:
        async def publish() -> None:
            await asyncio.gather(*(broker.apublish(event(group, f"there {turn}")) for turn in range(50)))
            if get_channel_layer() is not None:
                await get_channel_layer().for_loop().flush()

        asyncio.run(publish())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.gather(*(broker.apublish(event(group, f"here {turn}")) for turn in range(50)))
    await asyncio.to_thread(thread.join)
    found = texts(await read(broker, group))
    for name in "here", "there":
        assert [text for text in found if text.startswith(name)] == [f"{name} {turn}" for turn in range(50)]


@pytest.mark.broker("is_variant")
async def test_rooms_have_histories_of_their_own(broker):
    groups = [token() for _ in range(20)]
    await asyncio.gather(*(broker.apublish(event(name, f"{name} {turn}")) for turn in range(3) for name in groups))
    pages = [await read(broker, name) for name in groups]
    assert [texts(page) for page in pages] == [[f"{name} {turn}" for turn in range(3)] for name in groups]
    assert len({page.epoch for page in pages}) == len(groups)


# Reading


@pytest.fixture
async def ten(broker: Broker, group: str) -> None:
    for number in range(1, 11):
        await broker.apublish(event(group, f"{number}"))


@pytest.mark.parametrize(
    ("query", "offsets"),
    [
        ({}, "1 2 3 4 5 6 7 8 9 10"),
        ({"limit": 3}, "8 9 10"),
        ({"limit": 0}, ""),
        ({"after": 0}, "1 2 3 4 5 6 7 8 9 10"),
        ({"after": 7}, "8 9 10"),
        ({"after": 4, "limit": 2}, "5 6"),
        ({"after": 10}, ""),
        ({"after": 11}, ""),
        ({"after": 99, "limit": 0}, ""),
        ({"before": 4}, "1 2 3"),
        ({"before": 9, "limit": 3}, "6 7 8"),
        ({"before": 1}, ""),
        ({"before": 0}, ""),
        ({"before": 99, "limit": 2}, "9 10"),
        ({"after": 2, "before": 6}, "3 4 5"),
        ({"after": 2, "before": 6, "limit": 2}, "3 4"),
        ({"after": 5, "before": 6}, ""),
        ({"after": 6, "before": 2}, ""),
        ({"most_bytes": 1}, "10"),
        ({"after": 3, "most_bytes": 1}, "4"),
        ({"after": 10, "most_bytes": 0}, ""),
    ],
    ids=str,
)
async def test_a_page_is_what_was_asked_for_oldest_first(broker, group, ten, query, offsets):
    page = await read(broker, group, **query)
    assert page.top == 10
    assert " ".join(str(stored.offset) for stored in page.stored) == offsets
    assert texts(page) == offsets.split()


async def test_a_page_has_as_many_bytes_as_were_asked_for(broker, group):
    for number in range(10):
        await broker.apublish(event(group, f"{number}" * 1000))
    # What surrounds an event in its layer counts as well.
    page = await read(broker, group, after=0, most_bytes=5_000)
    assert 3 <= len(page.stored) <= 5
    assert [stored.offset for stored in page.stored] == list(range(1, len(page.stored) + 1))
    page = await read(broker, group, most_bytes=5_000)
    assert 3 <= len(page.stored) <= 5
    assert [stored.offset for stored in page.stored] == list(range(11 - len(page.stored), 11))


async def test_pages_of_a_long_history_join(broker, group):
    await asyncio.gather(*(broker.apublish(event(group, f"{number}")) for number in range(1, 501)))
    forward: list[int] = []
    while (page := await read(broker, group, after=forward[-1] if forward else 0, limit=170)).stored:
        forward += [stored.offset for stored in page.stored]
    backward: list[int] = []
    while (page := await read(broker, group, before=backward[0] if backward else 501, limit=170)).stored:
        backward = [stored.offset for stored in page.stored] + backward
    assert forward == backward == list(range(1, 501))


@pytest.mark.broker("is_variant")
async def test_a_room_without_events_has_an_epoch_that_stays(broker, group):
    pages = await asyncio.gather(*(read(broker, group, limit=limit) for limit in (0, 10)))
    pages.append(await asyncio.to_thread(broker.read_history, group, LARGE, PageQuery()))
    assert {(page.epoch, page.top, len(page.stored)) for page in pages} == {(pages[0].epoch, 0, 0)}
    assert await broker.apublish(event(group, "first")) == Position(pages[0].epoch, 1)


# Bounds


async def test_no_more_events_are_kept_than_were_said(broker, group):
    history = History(messages=7)
    for number in range(1, 41):
        await broker.apublish(event(group, f"{number}", history))
        page = await read(broker, group, history, after=0)
        assert [stored.offset for stored in page.stored] == list(range(max(1, number - 6), number + 1))
    assert texts(await read(broker, group, History(messages=1))) == ["40"]
    assert texts(await read(broker, group, history)) == ["40"]  # what is forgotten does not come back


async def test_no_more_bytes_are_kept_than_were_said(broker, group):
    history = History(bytes=10_000)
    for number in range(1, 31):
        await broker.apublish(event(group, f"{number:02}" * 1000, history))
        found = await read(broker, group, history)
        assert sum(len(text) for text in texts(found)) <= 10_000
        assert [stored.offset for stored in found.stored] == list(range(number + 1 - len(found.stored), number + 1))
        assert len(found.stored) >= min(number, 4)
    # What is larger than all that may be kept is not kept, nor what was before it, and has a position all the same.
    position = await broker.apublish(event(group, "x" * 20_000, history))
    assert position is not None
    assert position.offset == 31
    page = await read(broker, group, history)
    assert (page.top, page.stored) == (31, [])
    await broker.apublish(event(group, "next", history))
    assert texts(await read(broker, group, history)) == ["next"]


async def test_events_are_kept_for_as_long_as_was_said(broker, group):
    history = History(seconds=0.2)
    await broker.apublish(event(group, "early", history))
    assert texts(await read(broker, group)) == ["early"]
    async with asyncio.timeout(LIMIT):
        while (await read(broker, group, history)).stored:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    page = await read(broker, group, history)
    assert page.top == 1  # the position outlives the event
    assert await broker.apublish(event(group, "late", history)) == Position(page.epoch, 2)
    assert texts(await read(broker, group, history, after=0)) == ["late"]


async def test_events_are_dated(broker, group):
    for number in range(3):
        await broker.apublish(event(group, f"{number}"))
    page = await read(broker, group)
    times = [stored.at for stored in page.stored]
    assert times == sorted(times)
    assert all(abs(times[0] - at) < LIMIT for at in times)
    assert times[0] > 1_600_000_000


# Sent again


@pytest.mark.parametrize("in_thread", [False, True], ids=["in a loop", "in threads"])
async def test_an_idempotency_key_counts_once_in_its_room(broker, group, in_thread):
    async def publish(name: str, text: str, key: str | None) -> Position | None:
        envelope = event(name, text, idempotency_key=key)
        if in_thread:
            return await asyncio.to_thread(broker.publish, envelope)
        return await broker.apublish(envelope)

    async with Subscriber(broker, group) as received:
        positions = await asyncio.gather(*(publish(group, f"{number}", "größe" * 50) for number in range(5)))
        assert len(set(positions)) == 1
        others = [await publish(group, "other", key) for key in ("", "other", None, None)]
        assert await publish(group, "again", "other") == others[1]
        assert [one.position for one in await received.take(5)] == [positions[0], *others]
    assert await publish(token(), "elsewhere", "other") != others[1]
    assert (await read(broker, group)).top == 5


# Clearing


@pytest.mark.parametrize("in_thread", [False, True], ids=["in a loop", "in a thread"])
@pytest.mark.broker("is_variant")
async def test_clearing_begins_another_epoch_and_says_so(broker, group, in_thread):
    for number in range(3):
        await broker.apublish(event(group, f"{number}", idempotency_key="key" if number == 1 else None))
    before = await read(broker, group)
    async with Subscriber(broker, group) as received:
        envelope = encode_history_check(group)
        if in_thread:
            await asyncio.to_thread(broker.clear_history, envelope, LARGE)
        else:
            await broker.aclear_history(envelope, LARGE)
        (heard,) = await received.take(1)
        assert heard.kind == CONTROL
        assert is_history_check(heard)
        page = await read(broker, group)
        assert (page.top, page.stored) == (0, [])
        assert page.epoch != before.epoch
        assert await broker.apublish(event(group, "again", idempotency_key="key")) == Position(before.epoch, 2)
        assert await broker.apublish(event(group, "new")) == Position(page.epoch, 1)
    assert texts(await read(broker, group)) == ["new"]


async def test_clearing_while_others_publish_leaves_one_epoch_without_holes(broker, group):
    async def publish() -> None:
        for number in range(50):
            await broker.apublish(event(group, f"{number}"))

    publishing = [asyncio.create_task(publish()) for _ in range(3)]
    for _ in range(5):
        await broker.aclear_history(encode_history_check(group), LARGE)
        await asyncio.sleep(0)
    await asyncio.gather(*publishing)
    page = await read(broker, group)
    assert [stored.offset for stored in page.stored] == list(range(1, page.top + 1))


# Other processes

FORKING = """
import asyncio, os
from django_fastws import History, Latest
from django_fastws.layer import get_broker
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws._core.history_page import PageQuery

history = History()

def store(text):
    get_broker().publish(Envelope(BROADCAST, GROUP, text, history=history))

async def astore(text):
    await get_broker().apublish(Envelope(BROADCAST, GROUP, text, history=history))

store("1 parent")
child = os.fork()
if not child:
    store("2 child")
    assert get_broker().read_history(GROUP, history, PageQuery()).top == 2
    asyncio.run(astore("3 child, in a loop"))
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
store("4 parent again")
asyncio.run(astore("5 parent, in a loop"))
"""


@pytest.mark.slow
@pytest.mark.broker("has_outages")
async def test_a_child_that_was_forked_stores_and_reads_and_its_parent_goes_on(broker, group, settings):
    async with Subscriber(broker, group) as subscriber:
        options = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]  # that it has threads
        code = FORKING.replace("GROUP", repr(group))
        await run(code, settings.CHANNEL_LAYERS["default"], options=options)
        page = await read(broker, group)
        assert [text[0] for text in texts(page)] == list("12345")
        assert [one.position for one in await subscriber.take(5)] == [
            Position(page.epoch, stored.offset) for stored in page.stored
        ]
