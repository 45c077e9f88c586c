"""The merge, in virtual time: whatever happens in whatever order, each member has every event once, or a state.

A machine of hypothesis decides each step: what is published, when it arrives, once, twice or never; when the layer
does what it was asked, and answers; when it is lost, and back; who joins, leaves, is cut off, does not read.
"""

from __future__ import annotations

import asyncio
import logging
import os
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_fastws import FastWS
from django_fastws.layer import default
from django_fastws.live import frame_writer
from django_fastws.live import session as live_session
from django_fastws.rooms import hub, local_room, scheduler
from django_fastws.rooms.hub import Hub, current_hub
from tests.live.merging import HISTORY, Client, World
from tests.site.client import token
from tests.support.examples import examples
from tests.support.hubs import EMPTY, hub_state

pytestmark = [pytest.mark.slow, pytest.mark.long]

#: How many runs of so many steps: more by hand.
EXAMPLES, STEPS = int(os.environ.get("FASTWS_MERGE_EXAMPLES", examples(150))), 60
CLIENTS = 3
WHO = st.integers(0, CLIENTS - 1)
PLACE = st.integers(0, 7)

#: That of the machine that runs.
world: World


class Errors(logging.Handler):
    """What is logged as an error is a fault."""

    def emit(self, record: logging.LogRecord) -> None:
        world.faults.append(f"logged: {record.getMessage()} {record.exc_info and record.exc_info[1]!r}")


@pytest.fixture(autouse=True)
def in_virtual_time(settings: Any, monkeypatch: pytest.MonkeyPatch, routes: Any) -> Any:
    settings.CHANNEL_LAYERS = {}
    settings.FASTWS_SEND_BUFFER_BYTES = 900
    settings.FASTWS_SLOW_CONSUMER = "drop_oldest"
    for shared in False, True:
        room = FastWS().room(f"{'shared' if shared else 'own'}-{{key}}", history=HISTORY)
        if shared:

            @room.state(shared=True)
            async def shared_state(key: str) -> dict[str, int]:
                return await world.state()
        else:

            @room.state
            async def state(ws: Any, key: str) -> dict[str, int]:
                return await world.state()

    def now() -> float:
        return asyncio.get_running_loop().time()

    clocks = SimpleNamespace(perf_counter=now, monotonic=now)
    for module in scheduler, hub, local_room, frame_writer, live_session:
        monkeypatch.setattr(module, "time", clocks)
    monkeypatch.setattr(default, "_current", None)
    errors, logger = Errors(logging.ERROR), logging.getLogger("django_fastws")
    logger.addHandler(errors)
    yield
    logger.removeHandler(errors)


class Merge(RuleBasedStateMachine):
    """Everything that can happen, one step at a time."""

    @initialize(shared=st.booleans(), before=st.integers(0, 12))
    def begin(self, shared: bool, before: int) -> None:
        global world
        world = self.world = World(f"{'shared' if shared else 'own'}-{token()}")
        default._current = (None, world.broker)
        self.clients = [Client(world, f"c-{number}") for number in range(CLIENTS)]
        #: Nothing has happened that only the look at quiet rooms finds, or that is tried again later.
        self.is_prompt = True
        for _ in range(before):
            world.publish()
        for client in self.clients[:-1]:
            world.loop.run(_run(client.connect))
            client.connection.join(None)
        self.all_goes_on(3)

    # All goes well

    @rule(rounds=st.integers(1, 6))
    def all_goes_on(self, rounds: int) -> None:
        broker = self.world.broker
        if rounds and broker.is_lost:
            self.world.loop.run(_run(broker.restore))
        for _ in range(rounds):
            for step in list(broker.steps):
                broker.go_on(step)
            self.deliver_all()
            self.world.loop.turns(3)

    @rule(count=st.integers(1, 4), excluded=st.one_of(st.none(), st.none(), WHO))
    def publish(self, count: int, excluded: int | None) -> None:
        for _ in range(count):
            self.world.publish(None if excluded is None else self.clients[excluded].name)

    @rule(count=st.integers(1, 3), turns=st.integers(0, 2))
    def publish_and_deliver(self, count: int, turns: int) -> None:
        for _ in range(count):
            self.world.publish()
            self.deliver_all()
            self.world.loop.turns(turns)

    @rule(
        count=st.integers(1, 4), order=st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=5)
    )
    def publish_and_deliver_in_another_order(self, count: int, order: list[tuple[int, bool]]) -> None:
        self.publish(count, None)
        for place, again in order:
            self.deliver_one(place, again)

    @rule(who=WHO, rounds=st.integers(0, 3))
    def join(self, who: int, rounds: int) -> None:
        client = self.clients[who]
        if client.connection is None:
            self.world.loop.run(_run(client.connect))
        assert client.connection is not None
        client.connection.join(client.position)
        self.all_goes_on(rounds)

    @rule(
        who=WHO, meanwhile=st.integers(0, 3), rounds=st.integers(0, 3), what=st.sampled_from(["", "own", "elsewhere"])
    )
    def come_back(self, who: int, meanwhile: int, rounds: int, what: str) -> None:
        """After events that are its own, so that it does not get them; or that it has had from another process."""
        client = self.clients[who]
        client.cut()
        self.publish(meanwhile, who if what == "own" else None)
        if what == "elsewhere":
            client.was_elsewhere()
        self.world.loop.turns(2)
        self.join(who, rounds)

    # One thing after the other, in any order

    @precondition(lambda self: self.world.broker.steps)
    @rule(place=PLACE, count=st.integers(1, 2))
    def the_layer_goes_on(self, place: int, count: int) -> None:
        steps = self.world.broker.steps
        step = steps[place % len(steps)]
        for _ in range(count):
            self.world.broker.go_on(step)

    @precondition(lambda self: self.world.broker.flying)
    @rule(place=st.one_of(st.just(0), PLACE), again=st.booleans())
    def deliver_one(self, place: int, again: bool) -> None:
        broker = self.world.broker
        if broker.flying:
            self.world.loop.run(_run(lambda: broker.deliver(place % len(broker.flying), again=again)))

    @rule()
    def deliver_all(self) -> None:
        broker = self.world.broker
        self.world.loop.run(_run(lambda: [broker.deliver(0) for _ in range(len(broker.flying))]))

    @rule(count=st.integers(1, 4))
    def turns(self, count: int) -> None:
        self.world.loop.turns(count)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 6.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.loop.advance(seconds)

    # Something goes wrong

    @rule(who=WHO, what=st.sampled_from(["cut", "leave", "stop reading", "read"]))
    def a_client_has_trouble(self, who: int, what: str) -> None:
        client = self.clients[who]
        if what == "cut":
            client.cut()
        elif client.connection is not None:
            act = {
                "leave": client.connection.leave,
                "stop reading": client.connection.stop_reading,
                "read": client.connection.read,
            }
            act[what]()

    @rule(who=WHO, back=st.integers(0, 12))
    def join_from_earlier_or_nowhere(self, who: int, back: int) -> None:
        client = self.clients[who]
        if client.connection is None:
            self.world.loop.run(_run(client.connect))
            assert client.connection is not None
            at = client.position
            client.connection.join(None if at is None or back > at.offset else at._replace(offset=at.offset - back))

    @rule(who=WHO, count=st.integers(3, 12), reads=st.booleans())
    def a_client_does_not_read_what_comes(self, who: int, count: int, reads: bool) -> None:
        connection = self.clients[who].connection
        if connection is not None:
            connection.stop_reading()
            for _ in range(count):
                self.publish_and_deliver(1, 2)
            if reads:
                connection.read()
                self.world.loop.turns(1)

    @rule(what=st.sampled_from(["lose", "restore", "fail", "clear", "forget"]), place=PLACE)
    def the_layer_has_trouble(self, what: str, place: int) -> None:
        broker = self.world.broker
        if what == "lose" and not broker.is_lost:
            broker.lose()
        elif what == "restore" and broker.is_lost:
            self.world.loop.run(_run(broker.restore))
        elif what == "fail" and broker.steps:
            self.is_prompt = False
            broker.fail(broker.steps[place % len(broker.steps)])
        elif what == "clear":
            broker.clear_elsewhere(self.world.group, HISTORY)
        elif what == "forget":
            self.is_prompt = False
            broker.histories.forget()

    # What must be so

    @invariant()
    def no_promise_is_broken(self) -> None:
        assert self.world.faults + self.world.loop.problems == []

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            if not self.world.faults:
                self._all_are_up_to_date_in_the_end()
                self._nothing_is_left()
        finally:
            default._current = None
            self.world.loop.end()

    def _all_are_up_to_date_in_the_end(self) -> None:
        self._all_get_to_the_top()
        self.world.publish()
        self._all_get_to_the_top()
        top = self.world.top()
        assert [self.world.up_to(top) - client.known for client in self.clients] == [set()] * CLIENTS

    def _all_get_to_the_top(self) -> None:
        for _ in range(8 if self.is_prompt else 60):
            self._everything_goes_on()
            if all(client.is_joined and client.position == self.world.top() for client in self.clients):
                return
        self.no_promise_is_broken()
        places = [(client.name, client.is_joined, client.position) for client in self.clients]
        pytest.fail(f"the room is at {self.world.top()}, and its members stay at {places}")

    def _everything_goes_on(self) -> None:
        loop, broker = self.world.loop, self.world.broker
        if broker.is_lost:
            loop.run(_run(broker.restore))
        for client in self.clients:
            if client.connection is None:
                loop.run(_run(client.connect))
            assert client.connection is not None
            client.connection.read()
            if not client.connection.is_joined and not client.connection.joins:
                client.connection.join(client.position)
        for _ in range(30):
            self.deliver_all()
            for step in list(broker.steps):
                broker.go_on(step)
            loop.settle()
        loop.advance(1.0)

    def _nothing_is_left(self) -> None:
        async def find() -> Hub:
            return current_hub()

        loop, found = self.world.loop, self.world.loop.run(find())
        for client in self.clients:
            client.cut()
        for _ in range(20):
            for step in list(self.world.broker.steps):
                self.world.broker.go_on(step)
            loop.settle()
        loop.advance(60.0)
        assert hub_state(found) == EMPTY
        assert self.world.broker.steps == []
        assert [task for task in asyncio.all_tasks(loop) if not task.done()] == []
        self.no_promise_is_broken()


async def _run(call: Any) -> None:
    call()


@pytest.mark.hypothesis
def test_members_have_each_event_once_and_in_order_or_a_state_whatever_happens() -> None:
    run_state_machine_as_test(
        Merge,
        settings=hypothesis_settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )
