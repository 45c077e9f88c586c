"""Presence of several processes, whatever befalls them, and what must be true of it: a state machine."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis.strategies import booleans, sampled_from

from django_fastws import FastWS, LiveSocket, Presence, Room, WebSocket, WebSocketConnectionError, presence
from django_fastws._core import pacing
from django_fastws.live.live_route import live_routes
from django_fastws.rooms import rest_presence
from django_fastws.routing import Endpoint, Signature
from django_fastws.signals import presence_joined, presence_left
from tests.support.examples import examples
from tests.support.presence_cluster import Cluster, Connection, Process, User

GRACE, LEASE, RETURN = 10, 30, 60  # seconds, as the settings are
#: After a cut or a flush it takes so long until everybody has told again who is there.
ANEW = LEASE / 3 + 3
#: What is left of a lease at least, whenever its process dies or is cut off.
LEFT = LEASE * 2 / 3 - 1
#: For a burial, and for what has changed to be told.
SLACK = 2
#: Whatever has been going on is over then.
LONG = 2 * LEASE + RETURN + GRACE + 4 * SLACK

KEYS = ["1", "2", "c-ada", "c-bob"]  # two users, and two who are nobody
ROOMS = ["desk/1", "desk/2", "crowd/1"]
SOME_ROOM = sampled_from(["desk/1", *ROOMS])


@dataclass(eq=False)
class Stay:
    """One connection in a room, as long as it is there and after that.

    Attributes:
        id: by which connections are told apart.
        asked: when the client has asked to join; ``began``: when that was answered; None before that.
        ended: when it has gone.
        until: it counts for so long at least, and at most.
    """

    key: str
    room: str
    id: str
    process: Process
    asked: float
    began: float | None = None
    ended: float | None = None
    until: tuple[float, float] = (0.0, 0.0)
    has_moved: bool = False
    card: Any = None
    shown: int = 0


class Tab:
    """A page, which keeps what it is told of who is present as the browser client does."""

    def __init__(self, machine: Machine, key: str, room: str, *, is_raw: bool) -> None:
        self.machine, self.key, self.room, self.is_raw = machine, key, room, is_raw
        self.client = key if key.startswith("c-") else f"c-{next(machine.numbers)}"
        self.version: int | None = None
        self.people: dict[str, tuple[Any, int]] = {}
        self.count: int | None = None
        self.socket: Connection | None = None
        self.stay: Stay | None = None
        self.wanted: Any = None

    @property
    def is_joined(self) -> bool:
        return self.stay is not None and self.stay.began is not None

    def connect(self, process: Process) -> None:
        machine, scope = self.machine, {}
        if not self.key.startswith("c-"):
            scope["user"] = machine.users[self.key]
        if self.is_raw:
            scope["room"] = self.room
        number = next(machine.numbers)
        id_ = f"raw-{number}" if self.is_raw else self.client
        self.stay = Stay(self.key, self.room, id_, process, machine.now)
        self.stay.card = "raw" if self.is_raw else None
        for one in machine.stays:
            if (one.room, one.key) == (self.room, self.key) and one.ended is not None:
                one.until = 0, one.until[1]  # whoever is back need not be expected
        machine.stays.append(self.stay)
        application = machine.raw if self.is_raw else machine.live
        self.socket = Connection(process, application, scope, lambda frame: self.take(number, frame))
        self.number = number
        if not self.is_raw:
            self.socket.say(hello={"client": self.client}, id="hello")
            self.socket.say(join=self.room, id="join", **({} if self.version is None else {"v": self.version}))

    def show(self, card: str) -> None:
        assert self.socket is not None
        self.wanted = card
        self.socket.say(room=self.room, event="card", data={"card": card}, id="card")

    def take(self, number: int, frame: Any) -> None:
        if number == self.number and self.stay is not None:  # else the client knows that it is over
            try:
                self.take_frame(frame, self.stay)
            except Exception as error:
                self.machine.faults.append(error)

    def take_frame(self, frame: Any, stay: Stay) -> None:
        if frame is None:
            self.machine.end_stay(stay, 0, GRACE)
            self.machine.lose(self)
        elif frame.get("id") == "card":
            stay.card, stay.shown = self.wanted, next(self.machine.numbers)
            if "error" in frame:
                self.machine.unclear_cards.add((self.room, self.key))
        elif frame.get("id") == "join":
            assert "ok" in frame or frame["error"]["code"] == "unavailable", frame
            if "error" in frame:
                self.machine.failed(self)
                return
            self.machine.began(stay)
            self.update(frame["ok"], is_answer=True)
            is_new = self.machine.forgotten < self.machine.now - ANEW
            if self.room != "crowd/1" and not self.is_raw and is_new:
                assert self.key in self.people, "who joins is among those who are present"
        elif frame.get("room") == self.room:
            self.update(frame)
        else:
            assert frame.get("id") == "hello", frame
            assert "ok" in frame

    def update(self, frame: Any, *, is_answer: bool = False) -> None:
        present, changes, version = frame.get("present"), frame.get("presence"), frame.get("v")
        if changes is not None and self.version is not None and version <= self.version:
            changes = None
        if present is not None:
            self.version = version
            self.people = {key: (one["meta"], one["connections"]) for key, one in present.items()}
        elif changes is not None:
            assert self.version is not None, "changes of what it has never had"
            self.version = version
            if not is_answer:
                self.machine.told += [(self, key) for kind in changes.values() for key in kind]
            for key in changes["left"]:
                self.people.pop(key, None)
                if not is_answer:
                    self.machine.told_of_a_leave(self, key)
            for key, one in {**changes["joined"], **changes["changed"]}.items():
                self.people[key] = one["meta"], one["connections"]
        if "count" in frame:
            self.count = frame["count"]


class Machine(RuleBasedStateMachine):
    """Tabs, processes and a layer."""

    def __init__(self, live: Any, raw: Any) -> None:
        super().__init__()
        self.live, self.raw = live, raw
        self.numbers = itertools.count(1)
        self.users = {key: User(key) for key in KEYS if not key.startswith("c-")}
        self.stays: list[Stay] = []
        self.tabs: list[Tab] = []
        #: Tabs that have lost their connection, and come back.
        self.away: list[Tab] = []
        #: Connections that the servers take for open, and the clients not.
        self.half_open: list[tuple[Connection, Stay]] = []
        self.signals: dict[tuple[str, str], str | None] = {}
        #: What clients and receivers of signals have found wrong.
        self.faults: list[Exception] = []
        #: Who was told something of which key.
        self.told: list[tuple[Tab, str]] = []
        self.unclear_cards: set[tuple[str, str]] = set()
        #: When something was last not as it should be, such as a layer that is away: when it began, and its end.
        self.cut_at: dict[Process, float] = {}
        self.disturbed = self.forgotten = float("-inf")
        #: When the layer was last there again; behind an outage, nobody is taken for dead for a while.
        self.restored = float("-inf")

    @initialize(delay=sampled_from([0.0, 0.02]), faults=sampled_from(["", "", "ends", "ends", "cuts", "all"]))
    def begin(self, delay: float, faults: str) -> None:
        self.cluster = Cluster(delay)
        #: What happens besides: the fewer kinds, the more is known of what must be.
        self.faults_of = {"ends": faults in ("ends", "all"), "cuts": faults in ("cuts", "all")}
        self.forgets = faults == "all"
        self.processes = [self.cluster.start(), self.cluster.start()]
        presence_joined.connect(self.joined)
        presence_left.connect(self.left)

    @property
    def now(self) -> float:
        return self.cluster.now

    # What must be

    def must(self, key: str, room: str, when: float) -> bool:
        """Whether a key has to be present."""
        if self.forgotten > when - ANEW or self.forgotten >= min(self.cut_at.values(), default=self.now + 1):
            return False
        for stay in self.stays:
            if (stay.key, stay.room) != (key, room) or stay.has_moved or self.may_have_moved(stay):
                continue
            if stay.began is None or stay.began > when - SLACK:
                continue
            process = stay.process
            if process in self.cut_at and len(self.cut_at) < len(self.processes):
                if self.cut_at[process] < when - LEFT:
                    continue
            elif self.disturbed > when - ANEW:
                continue
            if stay.ended is None:
                return True
            is_whole = max(self.disturbed, self.forgotten) <= stay.began and not self.cut_at
            if is_whole and when < stay.until[0] - 0.01:
                return True
        return False

    def may_have_moved(self, stay: Stay) -> bool:
        """Whether its client has asked to be present elsewhere since, be that answered or not.

        The layer may have heard of that, though the answer was lost: then it counts there, and ends there.
        """
        this = stay.room, stay.key, stay.id
        return any((one.room, one.key, one.id) == this and one.asked > stay.asked for one in self.stays)

    def may(self, key: str, room: str) -> bool:
        """Whether a key can be present."""
        if max(self.disturbed, self.forgotten, self.restored) > self.now - LONG or self.cut_at:
            return True
        return any(
            stay.ended is None or self.now <= stay.until[1] + SLACK
            for stay in self.stays
            if (stay.key, stay.room) == (key, room) and not stay.has_moved
        )

    def told_of_a_leave(self, tab: Tab, key: str) -> None:
        if self.must(key, tab.room, self.now - SLACK) and self.must(key, tab.room, self.now):
            raise AssertionError(f"{key} was told to have left {tab.room}")

    async def joined(self, room: str, key: str, **kwargs: Any) -> None:
        self.signal("joined", room, key)

    async def left(self, room: str, key: str, **kwargs: Any) -> None:
        self.signal("left", room, key)

    def signal(self, kind: str, room: str, key: str) -> None:
        was = self.signals.get((room, key), "left")
        for doubt in list(self.cluster.doubts):
            if doubt in (None, (room, key)):
                was = None
        if was == kind:
            self.faults.append(AssertionError(f"{key} {kind} {room} again"))
        if kind == "left" and self.must(key, room, self.now):
            self.faults.append(AssertionError(f"a signal says that {key} has left {room}"))
        self.signals[room, key] = kind

    # What happens

    def disturb(self) -> None:
        self.disturbed = self.now

    def end_stay(self, stay: Stay, least: float, most: float) -> None:
        if stay.ended is None:
            stay.ended = self.now
            stay.until = self.now + least, self.now + most

    def lose(self, tab: Tab) -> None:
        """The server has closed the connection of a tab, which comes back."""
        tab.stay = tab.socket = None
        if tab in self.tabs:
            self.tabs.remove(tab)
            self.away.append(tab)

    def failed(self, tab: Tab) -> None:
        """A join has failed: the client lets go of the connection, and comes back."""
        stay, socket = tab.stay, tab.socket
        assert stay is not None
        assert socket is not None
        self.end_stay(stay, 0, GRACE)
        self.lose(tab)
        socket.end()

    def began(self, stay: Stay) -> None:
        stay.began, stay.shown = self.now, next(self.numbers)
        for one in self.stays:
            if one is not stay and (one.room, one.key, one.id) == (stay.room, stay.key, stay.id):
                one.has_moved = True  # it counts there
            is_other = one is not stay and (one.room, one.key) == (stay.room, stay.key)
            if is_other and one.ended is None and abs(one.asked - stay.asked) < 0.3:
                self.unclear_cards.add((stay.room, stay.key))  # two have come at once

    @rule(key=sampled_from(KEYS), room=SOME_ROOM, where=sampled_from(range(3)), is_raw=booleans())
    def connect(self, key: str, room: str, where: int, is_raw: bool) -> None:
        if key.startswith("c-") and any(tab.key == key for tab in [*self.tabs, *self.away]):
            return  # one page has this id
        tab = Tab(self, key, room, is_raw=is_raw and not key.startswith("c-"))
        self.tabs.append(tab)
        tab.connect(self.processes[where % len(self.processes)])
        self.cluster.settle()

    @rule(which=sampled_from(range(8)))
    @precondition(lambda self: self.tabs)
    def close(self, which: int) -> None:
        """A tab is closed."""
        tab = self.tabs.pop(which % len(self.tabs))
        self.leave(tab)
        self.cluster.settle()

    def leave(self, tab: Tab) -> None:
        assert tab.stay is not None
        assert tab.socket is not None
        self.end_stay(tab.stay, GRACE, GRACE)
        tab.socket.end()
        tab.stay = tab.socket = None

    @rule(which=sampled_from(range(8)), where=sampled_from(range(3)), pause=sampled_from([0.0, 0.1, 3.0]))
    @precondition(lambda self: self.tabs)
    def reload(self, which: int, where: int, pause: float) -> None:
        """A page is loaded again, by any server."""
        tab = self.tabs.pop(which % len(self.tabs))
        is_alone, heard = self.is_alone(tab), len(self.told)
        self.leave(tab)
        self.cluster.advance(pause)
        again = Tab(self, tab.key, tab.room, is_raw=tab.is_raw)
        self.tabs.append(again)
        again.connect(self.processes[where % len(self.processes)])
        self.cluster.advance(1)
        if is_alone:
            assert [key for tab, key in self.told[heard:] if tab.room == again.room and key == again.key] == []

    def is_alone(self, tab: Tab) -> bool:
        """Whether a tab is the only one of its user for long, and nothing else has happened."""
        stays = [one for one in self.stays if (one.key, one.room) == (tab.key, tab.room)]
        (*_, last) = stays
        is_whole = max(self.disturbed, self.forgotten) < self.now - LONG and not self.cut_at
        others = [one for one in stays if one is not last]
        is_first = last is tab.stay and all(one.ended and one.until[1] < self.now - SLACK for one in others)
        shows_the_same = last.card == ("raw" if tab.is_raw else None)
        return is_whole and is_first and shows_the_same and last.began is not None and last.began < self.now - 1

    @rule(which=sampled_from(range(8)), is_noticed=booleans())
    @precondition(lambda self: self.tabs)
    def cut(self, which: int, is_noticed: bool) -> None:
        """A tab loses its connection, which its server notices at once or later."""
        self.cluster.advance(0.2)  # what it has asked for has come there before what it will ask elsewhere
        if not self.tabs:
            return
        tab = self.tabs[which % len(self.tabs)]
        assert tab.stay is not None
        assert tab.socket is not None
        if is_noticed or tab.is_raw:
            self.end_stay(tab.stay, GRACE, GRACE)
            tab.socket.end(1006)
        else:
            self.half_open.append((tab.socket, tab.stay))
        self.lose(tab)
        self.cluster.settle()

    @rule()
    @precondition(lambda self: self.half_open)
    def notice(self) -> None:
        """A server notices that a client has gone."""
        self.notice_one(*self.half_open.pop())
        self.cluster.settle()

    def notice_one(self, socket: Connection, stay: Stay) -> None:
        self.end_stay(stay, GRACE, GRACE)
        socket.end(1006)

    @rule(which=sampled_from(range(8)), where=sampled_from(range(3)))
    @precondition(lambda self: self.away)
    def come_back(self, which: int, where: int) -> None:
        tab = self.away.pop(which % len(self.away))
        self.tabs.append(tab)
        tab.connect(self.processes[where % len(self.processes)])
        self.cluster.settle()

    @rule(which=sampled_from(range(8)), card=sampled_from(["busy", "free"]))
    def show_another_card(self, which: int, card: str) -> None:
        self.cluster.advance(0.2)  # after all others
        tabs = [tab for tab in self.tabs if tab.is_joined and not tab.is_raw]
        if tabs:
            tabs[which % len(tabs)].show(card)
            self.cluster.advance(0.2)

    @rule(which=sampled_from(range(3)))
    @precondition(lambda self: self.faults_of["ends"] and len(self.processes) > 1)
    def kill(self, which: int) -> None:
        process = self.processes.pop(which % len(self.processes))
        self.cluster.kill(process)
        self.gone(process, LEFT, LEASE)

    @rule(which=sampled_from(range(3)), is_slow=booleans())
    @precondition(lambda self: self.faults_of["ends"] and len(self.processes) > 1)
    def drain(self, which: int, is_slow: bool) -> None:
        """A process is stopped in order; its clients come back to the others, some at once."""
        process = self.processes.pop(which % len(self.processes))
        is_cut = process in self.cut_at
        process.run(rest_presence(60))
        for stay in self.stays:
            # Who was in the grace here is expected back as well.
            if stay.process is process and stay.ended is not None and self.now < stay.until[1]:
                stay.until = stay.until[0], self.now + RETURN
        tabs = [tab for tab in self.tabs if tab.stay is not None and tab.stay.process is process]
        for tab in tabs:
            assert tab.stay is not None
            assert tab.socket is not None
            self.end_stay(tab.stay, LEFT if is_cut else RETURN - SLACK, RETURN)
            tab.socket.end(1012)
            if is_slow:
                self.cluster.advance(0.3)
            if tab.stay is not None:
                self.lose(tab)
        self.cluster.settle()
        self.gone(process, LEFT if is_cut else RETURN - SLACK, RETURN)
        process.is_alive = False
        for tab in tabs[::2]:
            self.away.remove(tab)
            self.tabs.append(tab)
            tab.connect(self.processes[0])
        self.cluster.settle()

    def gone(self, process: Process, least: float, most: float) -> None:
        """A process has ended, and with it all that was there."""
        self.cut_at.pop(process, None)
        for stay in self.stays:
            if stay.process is not process:
                continue
            if stay.ended is None:
                self.end_stay(stay, least if stay.began is not None else 0, most)
            elif self.now < stay.until[1]:
                stay.until = stay.until[0], max(stay.until[1], self.now + most)
        for tab in [tab for tab in self.tabs if tab.stay is not None and tab.stay.process is process]:
            self.lose(tab)
        self.half_open = [(socket, stay) for socket, stay in self.half_open if stay.process is not process]

    @rule()
    @precondition(lambda self: len(self.processes) < 3)
    def start(self) -> None:
        self.processes.append(self.cluster.start())

    @rule(which=sampled_from(range(3)), is_all=booleans())
    @precondition(lambda self: self.faults_of["cuts"] and not self.cut_at)
    def lose_the_layer(self, which: int, is_all: bool) -> None:
        processes = self.processes if is_all else [self.processes[which % len(self.processes)]]
        for process in processes:
            self.cluster.cut(process)
            self.cut_at.setdefault(process, self.now)
        if not is_all:
            self.disturb()

    @rule()
    @precondition(lambda self: self.cut_at)
    def restore_the_layer(self) -> None:
        if len(self.cut_at) < len(self.processes) or len({*self.cut_at.values()}) > 1:
            self.disturb()
        if self.forgotten >= min(self.cut_at.values()):
            self.forgotten = self.now  # only now do they learn of that
        self.restored = self.now
        for process in list(self.cut_at):
            self.cluster.restore(process)
        self.cut_at.clear()
        self.cluster.settle()

    @rule(seconds=sampled_from([5, 20, 40, 100]))
    @precondition(lambda self: self.faults_of["cuts"] and not self.cut_at)
    def lose_the_layer_for_a_while(self, seconds: float) -> None:
        self.lose_the_layer(0, is_all=True)
        self.cluster.advance(seconds)
        self.restore_the_layer()
        self.cluster.advance(3)

    @rule(which=sampled_from(range(3)), key=sampled_from(KEYS), pause=sampled_from([0, 12]))
    @precondition(lambda self: self.faults_of["cuts"] and not self.cut_at and len(self.processes) > 1)
    def one_does_not_hear_of_others(self, which: int, key: str, pause: float) -> None:
        """A process loses the layer, and somebody comes or goes elsewhere."""
        self.lose_the_layer(which, is_all=False)
        (cut,) = self.cut_at
        elsewhere = [tab for tab in self.tabs if tab.stay is not None and tab.stay.process is not cut]
        if elsewhere:
            self.tabs.remove(elsewhere[0])
            self.leave(elsewhere[0])
        self.connect(key, "desk/1", next(n for n, one in enumerate(self.processes) if one is not cut), is_raw=False)
        self.cluster.advance(pause)
        self.restore_the_layer()
        self.cluster.advance(3)

    @rule(which=sampled_from(range(3)), pause=sampled_from([0, 11, 35, 50]))
    @precondition(lambda self: self.faults_of["ends"] and len(self.processes) > 1)
    def deploy(self, which: int, pause: float) -> None:
        """A process is replaced, and all come back after a while."""
        self.drain(which, is_slow=False)
        self.start()
        self.cluster.advance(pause)
        for _ in list(self.away):  # who cannot, for the layer is away, is so once more
            self.come_back(0, 0)
        self.cluster.advance(1)

    @rule()
    @precondition(lambda self: self.forgets)
    def forget(self) -> None:
        """The layer loses all that it has, as with FLUSHALL."""
        self.cluster.memory.forget()
        self.forgotten = self.now
        self.signals = dict.fromkeys(self.signals)
        self.cluster.doubt([None])

    def look_for_somebody(self) -> None:
        """Where nobody is, nobody buries anybody, and behind that comes an amnesty."""
        if not any(tab.is_joined and tab.stay.process not in self.cut_at for tab in self.tabs if tab.stay):
            self.disturb()

    @rule(seconds=sampled_from([0.1, 1, 5, 9, 11, 16, 31, 61, 100]))
    def wait(self, seconds: float) -> None:
        self.cluster.advance(seconds)

    @rule()
    def come_to_rest(self) -> None:
        """Everything is whole again, and everybody back: then all that is known anywhere is so."""
        if self.cut_at:
            self.restore_the_layer()
        for one in self.half_open:
            self.notice_one(*one)
        self.half_open.clear()
        for _ in range(3):
            self.cluster.advance(1)
            for _ in list(self.away):
                self.come_back(0, 0)
        assert not self.away
        self.cluster.advance(LONG)
        if self.faults:
            raise self.faults[0]
        wanted, somebody = self.truth(), bool(self.tabs)
        for room in ROOMS:
            people = {one.key: (one.meta, one.connections) for one in self.cluster.shell.run(Room(room).apresent())}
            assert people == wanted[room]
            assert self.cluster.shell.run(Room(room).acount()) == len(people)
            if somebody:  # to bury the others
                assert self.cluster.snapshot(room) == people
        self.look_at_tabs()
        people = {key for room in ROOMS for key in wanted[room]}
        online = self.cluster.shell.run(presence.aonline(list(self.users.values())))
        assert online == people & self.users.keys()
        for key in self.users:
            assert self.cluster.shell.run(presence.ais_online(key)) == (key in people)
            self.look_at_last_seen(key, is_online=key in people)
        present = {(room, key) for room in ROOMS for key in wanted[room]}
        for place, kind in self.signals.items():
            if somebody and kind is not None and place not in self.cluster.doubts and None not in self.cluster.doubts:
                assert kind == ("joined" if place in present else "left"), place
        there = {(room, key) for room in ROOMS for key in self.cluster.snapshot(room)}
        self.signals = dict.fromkeys(self.signals, "left") | dict.fromkeys(there, "joined")
        self.cluster.doubts.clear()
        self.stays = [stay for stay in self.stays if stay.ended is None]
        if not somebody:
            self.disturb()  # nobody has buried anybody

    def truth(self) -> dict[str, dict[str, tuple[Any, int]]]:
        """Who is connected, with the card that was shown last, and with how many connections."""
        found: dict[str, dict[str, tuple[Any, int]]] = {room: {} for room in ROOMS}
        for room, key in itertools.product(ROOMS, KEYS):
            stays = [one for one in self.stays if one.ended is None and not one.has_moved]
            stays = [one for one in stays if (one.key, one.room) == (key, room)]
            if stays:
                newest = max(stays, key=lambda stay: stay.shown)
                card = newest.card
                if (room, key) in self.unclear_cards:
                    card = self.cluster.snapshot(room)[key][0]
                found[room][key] = card, len({stay.id for stay in stays})
        return found

    def look_at_last_seen(self, key: str, *, is_online: bool) -> None:
        seen = self.cluster.shell.run(presence.alast_seen(key))
        all_stays = [stay for stay in self.stays if stay.key == key]
        stays = [stay for stay in all_stays if stay.began is not None]
        if is_online:
            assert seen is not None
            assert abs(seen.timestamp() - self.now) < 1
        elif stays and self.forgotten < min(stay.asked for stay in stays) and self.disturbed < stays[0].asked:
            assert seen is not None
            assert seen.timestamp() >= max(stay.ended or 0 for stay in stays) - LEASE / 3 - SLACK
            assert seen.timestamp() <= max(stay.ended or 0 for stay in all_stays) + SLACK

    @invariant()
    def nobody_is_there_or_not_there_who_must_not_be(self) -> None:
        if not hasattr(self, "cluster"):
            return
        if self.faults:
            raise self.faults[0]
        self.look_for_somebody()
        for room in ROOMS:
            there = self.cluster.snapshot(room)
            for key in KEYS:
                if self.must(key, room, self.now):
                    assert key in there, f"{key} is not in {room}"
                if not self.may(key, room):
                    assert key not in there, f"{key} is in {room} still"
        if self.now > max(self.cluster.changed_at + 1, self.forgotten + ANEW):
            self.look_at_tabs()

    def look_at_tabs(self) -> None:
        """Every page shows what the layer has."""
        for tab in self.tabs:
            assert tab.stay is not None
            if tab.is_raw or not tab.is_joined or tab.stay.process in self.cut_at:
                continue
            there = self.cluster.snapshot(tab.room)
            if tab.room == "crowd/1":
                assert tab.count == len(there)
            else:
                assert tab.people == there

    def teardown(self) -> None:
        if not hasattr(self, "cluster"):
            return
        try:
            self.come_to_rest()
            self.connect("1", ROOMS[0], 0, is_raw=True)  # who buries the others
            self.cluster.advance(LONG)
            for tab in list(self.tabs):
                self.leave(tab)
            self.tabs.clear()
            self.cluster.advance(LONG)
            assert self.cluster.leftovers() == []
            assert self.faults == []
        finally:
            presence_joined.disconnect(self.joined)
            presence_left.disconnect(self.left)
            self.cluster.close()


@pytest.fixture
def applications(routes: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """Those of live sockets and of raw ones."""
    monkeypatch.setattr(pacing, "_SHORTEST", float("inf"))  # however slow the machine
    app = FastWS()
    desk = app.room("desk/{pk:int}", presence=True)
    app.room("crowd/{pk:int}", presence=Presence(counts_only=True)).on("card")(card)
    desk.on("card")(card)
    (route,) = live_routes()
    return route.application, Endpoint(raw, Signature({}, takes_any=False))


async def card(ws: LiveSocket, pk: int, card: str) -> None:
    (room,) = ws.rooms
    await ws.set_presence(room, card)


async def raw(ws: WebSocket) -> None:
    await ws.accept()
    try:
        await ws.join(ws.scope["room"], present="raw")
    except WebSocketConnectionError:
        await ws.send_json({"id": "join", "error": {"code": "unavailable"}})
        await ws.close(1013)
        return
    await ws.send_json({"id": "join", "ok": {}})
    async for _ in ws:
        pass


@pytest.mark.hypothesis
def test_all_know_who_is_present_whatever_happens(applications: tuple[Any, Any]) -> None:
    # What it finds, it does not make shorter: that takes minutes. The steps that it prints can be called one by one.
    bounds = settings(max_examples=examples(120), stateful_step_count=25, phases=[Phase.generate])
    run_state_machine_as_test(lambda: Machine(*applications), settings=bounds)
