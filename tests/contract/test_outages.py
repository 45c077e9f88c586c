"""What every broker owes to publishers and subscribers while what it stands on breaks, and afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from django_fastws import History, Latest, Position, WebSocketConnectionError
from django_fastws._core.envelope import Envelope
from django_fastws._core.history_page import HistoryPage, PageQuery
from django_fastws._core.latest import Keyed
from django_fastws.layer import Broker
from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from tests.contract.implementations import Implementation
from tests.contract.subscriber import Subscriber, hello, keep_on, outcome
from tests.site.client import LIMIT, token

pytestmark = [pytest.mark.broker("has_outages"), pytest.mark.faults]

HISTORY, HOUR = History(messages=10_000), Latest(seconds=3600)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is noticed within a quarter of a second."""
    monkeypatch.setattr(ReconnectingConnection, "_HEARTBEAT_SECONDS", 0.05)


class Publisher:
    """Publishes numbered texts to a group, in the loop and in a thread, and remembers which were taken."""

    def __init__(self, broker: Broker, group: str, history: History | None = None) -> None:
        self._broker, self._group, self._history = broker, group, history
        self._last: Counter[str] = Counter()
        self.taken: list[str] = []
        self.refused: list[str] = []
        self.positions: dict[str, Position | None] = {}

    def envelope(self, name: str) -> Envelope:
        self._last[name] += 1
        return hello(self._group, f"{name} {self._last[name]}", history=self._history)

    def _note(self, envelope: Envelope, position: Position | None) -> None:
        self.taken.append(str(envelope.data))
        self.positions[str(envelope.data)] = position

    async def in_loop(self, name: str = "loop") -> None:
        envelope = self.envelope(name)
        try:
            self._note(envelope, await self._broker.apublish(envelope))
        except WebSocketConnectionError:
            self.refused.append(str(envelope.data))

    async def in_thread(self, name: str = "thread") -> None:
        envelope = self.envelope(name)
        try:
            self._note(envelope, await asyncio.to_thread(self._broker.publish, envelope))
        except WebSocketConnectionError:
            self.refused.append(str(envelope.data))


def check_once_and_in_order(texts: list[Any]) -> None:
    """Nothing came twice, or before what its publisher had published earlier."""
    assert [text for text, count in Counter(texts).items() if count > 1] == []
    numbers: dict[str, list[int]] = {}
    for text in texts:
        name, _, number = text.partition(" ")
        numbers.setdefault(name, []).append(int(number))
    assert {name: sorted(some) for name, some in numbers.items()} == numbers


async def test_what_is_published_while_it_is_away_is_held_or_refused_and_all_goes_on(
    broker: Broker, group: str, implementation: Implementation
) -> None:
    publisher = Publisher(broker, group)
    async with Subscriber(broker, group) as subscriber:
        for _ in range(3):
            await publisher.in_loop()
            await publisher.in_thread()
        await subscriber.take(6)
        implementation.cut()
        calls = [asyncio.ensure_future(publisher.in_loop()) for _ in range(20)]
        calls += [asyncio.ensure_future(publisher.in_thread(f"thread-{number}")) for number in range(3)]
        await subscriber.wait_for(lambda: not implementation.tells or not broker.status.is_reachable)
        calls += [asyncio.ensure_future(publisher.in_loop()) for _ in range(20)]
        await asyncio.to_thread(implementation.bring_back)
        await asyncio.gather(*calls)
        assert not publisher.refused or not implementation.holds
        await subscriber.wait_for(lambda: broker.status.is_reachable and subscriber.client.is_subscribed(group))
        await subscriber.reaches(lambda: broker.apublish(hello(group, "after 1")), "after 1")
        await subscriber.reaches(lambda: asyncio.to_thread(broker.publish, hello(group, "after 2")), "after 2")
        texts = [text for text in subscriber.texts if not text.startswith("after")]
        if implementation.keeps_order:
            check_once_and_in_order(texts)
        assert len({*texts}) == len(texts)
        assert {*texts} <= {*publisher.taken, *publisher.refused}
        if implementation.holds:  # in the loop, until its subscriptions are made again; in threads, for a moment only
            assert {text for text in publisher.taken if text.startswith("loop")} <= {*texts}


@pytest.mark.broker("tells")
async def test_a_subscriber_is_told_that_something_may_be_missing(
    broker: Broker, group: str, implementation: Implementation
) -> None:
    other = token()
    async with Subscriber(broker, group) as subscriber:
        await broker.apublish(hello(group, "before"))
        await subscriber.expect("before")
        implementation.cut()
        await subscriber.wait_for(lambda: not subscriber.client.is_subscribed(group))
        before = subscriber.restored  # a cluster may tell that of its first connections
        assert not broker.status.is_reachable
        assert broker.status.error
        assert not await outcome(broker.check(0.2))
        # Who joins or leaves meanwhile is told, or waits.
        joining = asyncio.ensure_future(outcome(subscriber.client.subscribe(other)))
        again = asyncio.ensure_future(outcome(subscriber.client.resubscribed(group)))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(implementation.bring_back)
        await asyncio.gather(joining, again)
        await subscriber.wait_for(lambda: subscriber.restored > before)
        await keep_on(lambda: subscriber.client.resubscribed(group))
        await keep_on(lambda: subscriber.client.subscribe(other))
        await keep_on(broker.check)
        for name in group, other:
            await keep_on(lambda name=name: broker.apublish(hello(name, f"to {name}")))
            await subscriber.hears(f"to {name}")
        assert broker.status.is_reachable
        await subscriber.client.unsubscribe(other)
        await broker.apublish(hello(other, "late"))
        await broker.apublish(hello(group, "last"))
        await subscriber.hears("last")
        assert "late" not in subscriber.texts


async def test_who_leaves_while_it_is_away_hears_nothing_any_more(
    broker: Broker, group: str, implementation: Implementation
) -> None:
    other = token()
    async with Subscriber(broker, other) as subscriber:
        await subscriber.client.subscribe(group)
        implementation.cut()
        await subscriber.wait_for(lambda: not implementation.tells or not subscriber.client.is_subscribed(group))
        await outcome(subscriber.client.unsubscribe(group))
        await asyncio.to_thread(implementation.bring_back)
        await subscriber.reaches(lambda: broker.apublish(hello(other, "back")), "back")
        await keep_on(lambda: broker.apublish(hello(group, "late")))
        await keep_on(lambda: broker.apublish(hello(other, "last")))
        await subscriber.hears("last")
        assert "late" not in subscriber.texts


async def test_nothing_but_our_own_error_gets_out_while_it_stays_away(
    broker: Broker, group: str, implementation: Implementation, settings: Any
) -> None:
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    implementation.cut()
    subscriber = Subscriber(broker)
    for turn in range(2):  # the second time, it is known
        calls = [
            broker.apublish(hello(group, "x")),
            asyncio.to_thread(broker.publish, hello(group, "x")),
            subscriber.client.subscribe(f"{group}{turn}"),
            broker.check(0.2),
        ]
        if implementation.has_history:
            keyed = Keyed("key", False, HOUR)
            calls += [
                broker.apublish(hello(group, "x", history=HISTORY)),
                asyncio.to_thread(broker.publish, hello(group, "x", history=HISTORY)),
                broker.apublish(hello(group, "x", keyed=keyed)),
                broker.aread_history(group, HISTORY, PageQuery()),
                asyncio.to_thread(broker.read_history, group, HISTORY, PageQuery()),
                asyncio.to_thread(broker.read_history, group, HISTORY, PageQuery(), seconds=0.1),
                broker.aclear_history(hello(group, "x"), HISTORY),
                asyncio.to_thread(broker.clear_history, hello(group, "x"), HISTORY),
                broker.aread_latest(group, HOUR),
                broker.claim(group, b"x", 1),
                broker.store(group, b"x", 1),
            ]
        async with asyncio.timeout(LIMIT):
            assert not any(await asyncio.gather(*map(outcome, calls)))
    await subscriber.client.close()


async def test_several_have_one_deadline_while_it_is_away_and_go_out_when_it_is_back(
    broker: Broker, group: str, implementation: Implementation, settings: Any
) -> None:
    sent = [hello(group, str(number)) for number in range(300)]
    async with Subscriber(broker, group) as subscriber:
        settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
        implementation.cut()
        for _ in range(2):  # the second time, it is known
            async with asyncio.timeout(LIMIT):  # and not 300 times as long as one of them takes
                found = await asyncio.to_thread(broker.publish_all, sent)
            assert {type(one) for one in found} == {WebSocketConnectionError}
            assert len(found) == 300
        await asyncio.to_thread(implementation.bring_back)
        settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
        await subscriber.wait_for(lambda: not implementation.tells or subscriber.client.is_subscribed(group))
        await subscriber.reaches(lambda: broker.apublish(hello(group, "back 1")), "back 1")
        await subscriber.reaches(lambda: asyncio.to_thread(broker.publish, hello(group, "back 2")), "back 2")
        assert await asyncio.to_thread(broker.publish_all, sent) == [None] * 300
        await subscriber.hears("299")
        assert subscriber.texts[-300:] == [one.data for one in sent]


@pytest.mark.broker("holds")
@pytest.mark.parametrize("history", [None, HISTORY], ids=["passing", "stored"])
async def test_what_was_taken_and_not_confirmed_is_sent_again_and_comes_once(
    broker: Broker, group: str, implementation: Implementation, history: History | None
) -> None:
    publisher = Publisher(broker, group, history)
    async with Subscriber(broker, group) as subscriber:
        await publisher.in_loop()
        await publisher.in_thread()
        for turn in range(3):
            implementation.mute()
            calls = [asyncio.ensure_future(publisher.in_loop()) for _ in range(25)]
            calls += [asyncio.ensure_future(publisher.in_thread(f"thread-{number}-{turn}")) for number in range(2)]
            await asyncio.sleep(0.02)
            await asyncio.to_thread(implementation.unmute)
            await asyncio.gather(*calls)
        assert publisher.refused == []
        # What comes to whom was cut off is missed, though not if that is a while after (SETTLING_SECONDS).
        await subscriber.wait_for(lambda: subscriber.client.is_subscribed(group))
        await keep_on(lambda: broker.apublish(hello(group, "last 1", history=history)))
        await subscriber.hears("last 1")
        if history is None:
            check_once_and_in_order(subscriber.texts)
            return
        # Of what has a position, receivers know by that whether it comes again.
        by_offset = {one.position.offset: one.data for one in subscriber.got if one.position}
        page = await broker.aread_history(group, history, PageQuery())
        stored = {one.offset: one.envelope.data for one in page.stored}
        assert list(stored) == list(range(1, page.top + 1))
        assert by_offset.items() <= stored.items()
        check_once_and_in_order(list(stored.values()))
        assert sorted(stored.values()) == sorted([*publisher.taken, "last 1"])
        assert {at.offset: text for text, at in publisher.positions.items() if at}.items() <= stored.items()


# Histories


@pytest.mark.broker("has_history", "is_variant")
@pytest.mark.parametrize("in_thread", [False, True], ids=["loop", "thread"])
@pytest.mark.parametrize("endangered", [False, True], ids=["all kept", "last writes lost"])
async def test_after_an_outage_a_history_goes_on_or_is_another_one(
    broker: Broker, group: str, implementation: Implementation, in_thread: bool, endangered: bool
) -> None:
    """No position is given twice, and what is read goes with what was stored."""
    found: dict[Position, str] = {}

    async def store(*texts: str) -> None:
        for text in texts:
            envelope = hello(group, text, history=HISTORY)
            position = await (asyncio.to_thread(broker.publish, envelope) if in_thread else broker.apublish(envelope))
            assert position is not None
            assert position not in found
            found[position] = text

    async def read() -> HistoryPage:
        if in_thread:
            return await asyncio.to_thread(broker.read_history, group, HISTORY, PageQuery())
        return await broker.aread_history(group, HISTORY, PageQuery())

    await store("a", "b", "c")
    before = await read()
    await asyncio.to_thread(implementation.wait_for_copies)
    if endangered:
        implementation.endanger()
    await store("d", "e")
    if not endangered:
        await asyncio.to_thread(implementation.wait_for_copies)
    await asyncio.to_thread(implementation.cut)
    await asyncio.to_thread(implementation.bring_back)
    after = await keep_on(read)
    kept = [one.envelope.data for one in after.stored]
    assert kept == list("abcde")[: len(kept)]
    assert [one.offset for one in after.stored] == list(range(1, after.top + 1))
    if after.epoch == before.epoch:
        assert kept == list("abcde")
    await store("f", "g")
    last = await read()
    assert last.epoch == after.epoch
    assert [one.envelope.data for one in last.stored] == [*kept, "f", "g"]
    assert all(
        found.get(Position(last.epoch, one.offset), one.envelope.data) == one.envelope.data for one in last.stored
    )


@pytest.mark.broker("has_history")
async def test_an_idempotency_key_counts_over_lost_connections(
    broker: Broker, group: str, implementation: Implementation, settings: Any
) -> None:
    """Whoever was told that it cannot be stored tries again, and it is stored once."""
    envelopes = {key: hello(group, key, history=HISTORY, idempotency_key=key) for key in ("loop", "thread")}
    await broker.apublish(hello(group, "first", history=HISTORY))
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.2
    implementation.mute()
    assert not await outcome(broker.apublish(envelopes["loop"]))
    assert not await outcome(asyncio.to_thread(broker.publish, envelopes["thread"]))
    await asyncio.to_thread(implementation.unmute)
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 10
    positions = [await keep_on(lambda key=key: broker.apublish(envelopes[key])) for key in envelopes]
    page = await broker.aread_history(group, HISTORY, PageQuery())
    stored = {Position(page.epoch, one.offset): one.envelope.data for one in page.stored}
    assert sorted(stored.values()) == ["first", "loop", "thread"]
    assert [stored[position] for position in positions] == ["loop", "thread"]


@pytest.mark.broker("has_history")
async def test_values_of_keyed_rooms_after_an_outage_are_those_of_their_epoch(
    broker: Broker, group: str, implementation: Implementation
) -> None:
    async def keep(text: str) -> Position | None:
        return await broker.apublish(hello(group, text, keyed=Keyed("key", False, HOUR)))

    positions = [await keep("a"), await keep("b")]
    await asyncio.to_thread(implementation.wait_for_copies)
    implementation.endanger()
    positions += [await keep("c")]
    await asyncio.to_thread(implementation.cut)
    await asyncio.to_thread(implementation.bring_back)
    read = await keep_on(lambda: broker.aread_latest(group, HOUR))
    positions += [await keep_on(lambda: keep("d"))]
    assert len({*positions}) == len(positions)
    assert [one.data for one in read.values.values()] in ([], ["b"], ["c"])
    after = await broker.aread_latest(group, HOUR)
    assert {key: one.data for key, one in after.values.items()} == {"key": "d"}
    assert after.position == positions[-1]
