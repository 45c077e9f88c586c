"""The benchmarks work and count right. No time is asserted: they run in miniature here."""

from __future__ import annotations

import html
import json
import re
import shlex
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from bench import command, compare, headline, machine, page, plot, report, results, scale
from bench.load import Disconnected, Lost, Refused, Swarm
from bench.messages import MESSAGE, READY, SAID, client_frame, encoded, numbered_frames, room_message, server_frame
from bench.peers import PEERS
from bench.programs import Program, PythonProgram, Redis, cpu_seconds, start
from bench.returning import ReturningClients
from bench.row import Bench, Row, Sample, Skipped, Target, Watch, calibrate, quantile
from bench.rows import ROWS
from bench.sites.bare import said_by
from bench.sizes import FULL, QUICK, TINY
from tests.docs.blocks import blocks_of
from tests.support import interpreter
from tests.support.ids import shown
from tests.support.processes import HOST, ROOT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks need Linux")


# Every row, in miniature

#: They differ by a number from the row that they inherit from, or are another on a server that other rows have, too.
VARIANTS = {name for name, row in ROWS.items() if type(row).__base__ in {type(other) for other in ROWS.values()}}
VARIANTS |= {"handshakes-anonymous-daphne", "handshakes-anonymous-runws"}
VARIANTS |= {"handshakes-user-daphne", "handshakes-user-uvicorn"}
VARIANTS |= {"call-uvicorn", "echo-daphne", "room-uvicorn", "recovery-reads"}
#: Peers that need not be there.
EXTRAS = {peer.name for peer in PEERS}
#: Rows that came in after the whole run that is published.
UNPUBLISHED = {"echo-daphne-one", "echo-runws", "echo-runws-one", "echo-uvicorn-one"}
UNPUBLISHED |= {"memory-users"} | {name for name in ROWS if name.startswith("handshakes-")}
UNPUBLISHED |= {"fanout-1000", "fanout-10", "fanout-paced"}
UNPUBLISHED |= {"peers-latency", "peers-echo", "peers-echo-one", "echo-latency", "capacity"}
UNPUBLISHED |= {"tls-echo", "tls-fanout", "deflate-echo", "deflate-fanout"}
UNPUBLISHED |= {"stall-connect", "stall-idle"}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    cores = machine.choose_cores()
    with machine.on_core(cores.load), Redis(cores.load) as redis:
        yield Bench(TINY, cores, redis, machine.raise_open_files())


@pytest.fixture
def forked(monkeypatch):
    """Whatever is Python is forked from a process that has imported most of it: on no core in particular."""
    started = Program._open

    def opened(self: Program, log: IO[bytes]) -> subprocess.Popen[bytes]:
        if self.talks or self.command[0] != sys.executable:
            return started(self, log)
        return interpreter.start(self.command[1:], self.environment, log)

    monkeypatch.setattr(Program, "_open", opened)


@pytest.mark.redis
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ROWS.keys() - {"capacity", "curve"} - VARIANTS))
@pytest.mark.usefixtures("forked")
def test_every_row_measures_every_peer(name, bench):
    row = ROWS[name]
    result = row.run(bench)
    assert "problem" not in result
    names = [peer["name"] for peer in result["peers"]]
    measured = [peer for peer in result["peers"] if not ("skipped" in peer and peer["name"] in EXTRAS)]
    assert [peer for peer in measured if peer.keys() & {"problem", "skipped"}] == []
    assert all(len(peer["samples"]) == TINY.rounds * row.slices and peer["median"] > 0 for peer in measured)
    assert names[0] == row.subject(TINY)
    assert {target.peer for target in row.targets_at(TINY)} <= set(names[1:])
    ratios = {comparison.peer["name"]: comparison.ratio for comparison in results.comparisons(result)}
    assert all(ratios[peer["name"]] for peer in measured[1:])
    assert len(list(report.row_lines(result))) == 1 + len(names)


@pytest.mark.redis
@pytest.mark.server
@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_the_curve_has_a_figure_for_each_size_of_each_line(bench):
    result = ROWS["curve"].run(bench)
    assert not result["problems"]
    assert result["members"] == list(TINY.curve)
    assert set(result["lines"]) == set(plot.STYLES)
    assert all(len(line) == len(TINY.curve) and all(line) for line in result["lines"].values())


@pytest.mark.redis
@pytest.mark.server
@pytest.mark.usefixtures("forked")
def test_sizes_that_the_system_does_not_allow_are_left_out(bench):
    few = Bench(TINY, bench.cores, bench.redis, open_files=10)
    result = ROWS["rooms-grow"].run(few)
    assert all("needs" in peer["skipped"] and "ulimit -n" in peer["skipped"] for peer in result["peers"])
    assert ROWS["curve"].run(few)["members"] == []


# Rounds


class _Fake(Row):
    """Peers that only write down when they are measured."""

    name = "fake"
    unit = "messages/s"
    targets = (Target("slow", 2), Target("broken", 2))

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.has_stopped = False

    def work(self, scale):
        return "nothing"

    def prepare(self, bench, stack):
        stack.callback(setattr, self, "has_stopped", True)
        return {
            "ours": lambda: lambda: self._measured("ours", 6.0 + len(self.calls)),
            "slow": lambda: lambda: self._measured("slow", 2.0),
            "broken": lambda: self._broken,
            "absent": self._absent,
        }

    def _measured(self, name, value):
        self.calls.append(name)
        return Sample(value, busy=1.0, load=0.25)

    def _broken(self):
        self.calls.append("broken")
        raise Lost("1 of 2 messages arrived")

    @staticmethod
    def _absent():
        raise Skipped("it is not installed")


@pytest.fixture
def fake_result() -> tuple[_Fake, dict]:
    row = _Fake()
    return row, row.run(Bench(replace(TINY, rounds=4), machine.Cores(None, None), None, 100))


def test_peers_take_turns_and_begin_by_turns(fake_result):
    row, _ = fake_result
    assert row.calls == ["ours", "slow", "broken", "slow", "ours", "ours", "slow", "ours", "slow"]
    assert row.has_stopped


def test_a_peer_that_loses_messages_is_measured_no_further_and_says_so(fake_result):
    _, result = fake_result
    ours, slow, broken, absent = result["peers"]
    assert (ours["samples"], ours["median"], ours["least"], ours["most"]) == ([6, 10, 11, 13], 10.5, 6, 13)
    assert (slow["median"], slow["busy"], slow["load"]) == (2, 1, 0.25)
    assert broken == {"name": "broken", "problem": "1 of 2 messages arrived"}
    assert absent == {"name": "absent", "skipped": "it is not installed"}


def test_a_row_is_told_with_its_ratios_and_what_went_wrong(fake_result):
    _, result = fake_result
    head, ours, slow, broken, absent = report.row_lines(result)
    assert head == "fake: nothing (messages/s)"
    assert re.fullmatch(r"  ours +10 \(6 to 13\) +measured 100%  load  25%", ours)
    assert re.fullmatch(r"  slow +2 \(2 to 2\) +5.25 × +≥ 2 × met +measured 100%  load  25%", slow)
    assert broken.split(maxsplit=1) == ["broken", "problem: 1 of 2 messages arrived"]
    assert absent.split(maxsplit=1) == ["absent", "skipped: it is not installed"]
    assert list(report.footer({"rows": [result | {"others": 0.02}]})) == ["1 of 1 targets are met"]
    _, noisy = report.footer({"rows": [result | {"others": 0.4}, result | {"others": 0.0}]})
    assert noisy.endswith("no good figures: fake (40%)")


def test_a_row_that_cannot_be_prepared_says_why(capsys):
    log = "daphne has ended:\nTraceback (most recent call last):\n  File\nImportError: no module\n"
    row = _Fake()
    row.prepare = lambda bench, stack: (_ for _ in ()).throw(RuntimeError(log))
    result = row.run(Bench(TINY, machine.Cores(None, None), None, 100))
    assert result["peers"] == []
    told = "daphne has ended: ImportError: no module"
    assert list(report.row_lines(result)) == ["fake: nothing (messages/s)", f"  problem: {told}"]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds_each", "count"), [(0.001, 1000), (0.01, 100), (0.5, 5), (0.0000001, 5000)], ids=shown
)
def test_rounds_get_as_many_messages_as_fill_their_time(seconds_each, count):
    assert calibrate(lambda messages: messages * seconds_each, 1.0, first=5, most=5000) == count


@pytest.mark.parametrize(
    ("target", "ratio", "is_met"),
    [
        (Target("Channels", 30), 30, True),
        (Target("Channels", 30), 29.9, False),
        (Target("Channels", 0.65, is_most=True), 0.65, True),
        (Target("Channels", 0.65, is_most=True), 0.66, False),
    ],
)
def test_targets_are_floors_or_ceilings(target, ratio, is_met):
    row = {
        "subject": "ours",
        "targets": [{"peer": target.peer, "ratio": target.ratio, "is_most": target.is_most}],
        "peers": [{"name": "ours", "median": ratio}, {"name": "Channels", "median": 1.0}],
    }
    (comparison,) = results.comparisons(row)
    assert (comparison.ratio, comparison.is_met) == (ratio, is_met)


def test_latencies_and_processor_time_are_told(fake_result):
    with Watch([], []) as watch:
        pass
    watch.spent = 0.5
    sample = watch.sample(1, deliveries=1000, latencies=[0.001] * 98 + [0.5, 0.002], pause=7)
    assert (sample.p50, sample.p99, sample.cpu, sample.pause) == (1, 2, 500, 7)
    assert [quantile([1, 2, 3, 4], share) for share in (0.0, 0.5, 0.51, 1.0)] == [1, 2, 3, 4]
    row = _Fake()
    row.lacks = {"slow": "no rooms"}
    row._measured = lambda name, value: replace(sample, value=value)
    result = row.run(Bench(TINY, machine.Cores(None, None), None, 100)) | {"others": 0, "date": ""}
    _, ours, _, broken, _ = report.row_lines(result)
    assert ours.endswith("p50 1.00 ms  p99 2.00 ms  500.00 ms CPU/1,000  pause 7 ms")
    assert broken
    _, _, first, second = report.latency_table({"rows": [result]}).splitlines()
    assert first == "| `fake` | ours | 1.00 | 2.00 | 500.00 | 7 |"
    assert second.startswith("|  | slow | 1.00 |")
    assert report.latency_table({"rows": []}) == ""
    assert report.peers_text({"rows": [result]}).splitlines() == [
        "- *slow*: no rooms",
        "- *absent*: not measured: it is not installed",
    ]
    (detail,) = [peer for peer in result["peers"] if peer["name"] == "slow"]
    assert detail["p99"] == {"median": 2, "least": 2, "most": 2}


# Two results


def _results(**figures: list[float]) -> dict:
    """Results of one row, in which less is better, with the values of each peer."""
    row = {"name": "latency", "work": "one", "unit": "ms", "less_is_better": True, "digits": 1}
    peers = [
        {
            "name": name,
            "samples": values,
            **dict(zip(("least", "median", "most"), sorted(values), strict=True)),
            "cpu": {"least": 1.0, "median": 2.0 * values[0], "most": 100.0},
        }
        for name, values in figures.items()
    ]
    return {"machine": {}, "scale": "full", "versions": {"redis": "5"}, "rows": [row | {"peers": peers}]}


@pytest.mark.parametrize(
    ("after", "ratio", "is_clear", "is_better"),
    [
        ([3.0, 2.0, 4.0], 0.3, True, True),
        ([30.0, 20.0, 40.0], 3.0, True, False),
        ([11.5, 8.9, 12.0], 1.15, False, False),
    ],
)
def test_a_change_is_clear_where_all_rounds_are_apart(after, ratio, is_clear, is_better):
    change, cpu = compare.changes(_results(ours=[10.0, 9.0, 11.0]), _results(ours=after, other=[1.0, 2.0, 3.0]))
    assert change.ratio == pytest.approx(ratio)
    assert (change.is_clear, change.is_better) == (is_clear, is_better)
    assert (cpu.detail, cpu.is_clear) == ("cpu", False)


def test_few_rounds_say_nothing():
    before, after = _results(ours=[10.0, 9.0, 11.0]), _results(ours=[1.0, 2.0, 3.0])
    after["rows"][0]["peers"][0]["samples"] = [2.0, 1.0]
    assert not any(change.is_clear for change in compare.changes(before, after))


def test_two_results_are_laid_side_by_side(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    results.write(_results(ours=[10.0, 9.0, 11.0]), old)
    changed = _results(ours=[3.0, 2.0, 4.0])
    changed["versions"] = {"redis": "6"}
    changed["rows"].append(changed["rows"][0] | {"name": "memory"})
    results.write(changed, new)
    assert command.main(["--compare", str(old), str(new)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["redis 5, now 6", "latency: one (ms)"]
    assert re.fullmatch(r"  ours +10.0 \(9.0 to 11.0\) +3.0 \(2.0 to 4.0\) +0.300 × better", lines[2])
    assert lines[-3:] == [
        "in one of the two only: memory",
        "larger than the scatter:",
        "  latency, ours: 0.3 × (better)",
    ]
    assert command.main(["--compare", str(old), "--output", str(new)]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert command.main(["--compare", str(old), str(old)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing is larger than the scatter"
    assert command.main(["--compare", str(tmp_path / "none.json")]) == 1
    assert command.main(["--compare", str(old), str(old), str(old)]) == 1


# The load generator counts right


class _Server:
    """A TCP server in a thread, that calls ``serve`` with each socket that it has accepted."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._run, args=[accepted]))
            self._threads[-1].start()

    def _run(self, accepted: socket.socket) -> None:
        with accepted:
            self._serve(accepted)

    def stop(self) -> None:
        """After all clients have gone."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)


@pytest.fixture
def serve() -> Iterator[Callable[..., tuple[Swarm, int]]]:
    with ExitStack() as stack:

        def start_server(handle: Callable[[socket.socket], None]) -> tuple[Swarm, int]:
            server = _Server(handle)
            stack.callback(server.stop)
            return stack.enter_context(Swarm(patience=1.5)), server.port

        yield start_server


def _reads(sock: socket.socket) -> Iterator[bytes]:
    while data := sock.recv(65536):
        yield data


ANSWER = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def test_handshakes_are_answered_and_members_keep_their_order(serve):
    paths: dict[int, str] = {}

    def handle(sock):
        request = sock.recv(65536)
        paths[sock.getpeername()[1]] = request.split()[1].decode()
        assert re.search(rb"^Sec-WebSocket-Key: \S{24}\r\nOrigin|^Origin: http://127", request, re.MULTILINE)
        sock.sendall(ANSWER[:20])
        sock.sendall(ANSWER[20:] + b"hel")
        sock.sendall(b"lo")
        for _ in _reads(sock):
            pass

    swarm, port = serve(handle)
    wanted = [f"/{number}" for number in range(100)]
    members = swarm.connect(port, wanted, b"hello")
    assert [paths[swarm.port_of(member)] for member in members] == wanted


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        (ANSWER + b"other", "other"),
        (ANSWER + b"hell", "0 of 1 handshakes were answered"),
        (b"", "closed"),
    ],
)
def test_handshakes_that_are_denied_say_how(serve, answer, text):
    def handle(sock):
        sock.recv(65536)
        sock.sendall(answer)
        if answer:
            for _ in _reads(sock):
                pass

    swarm, port = serve(handle)
    with pytest.raises(Refused, match=text):
        swarm.connect(port, ["/"], b"hello")


def test_every_byte_of_every_member_is_counted(serve):
    def handle(sock):
        for data in _reads(sock):
            sock.sendall(data * 3)

    swarm, port = serve(handle)
    members = swarm.dial(port, 3)
    for _ in range(2):
        for member in members:
            swarm.send(member, b"x" * 1000)
        swarm.collect(members, 3000, every=0.0001)
    swarm.send(members[0], b"x" * 1000)
    with pytest.raises(Lost, match="3,000 of 9,000 bytes arrived, and 2 members"):
        swarm.collect(members, 3000)


def test_bytes_of_the_wrong_member_do_not_count(serve):
    def handle(sock):
        for data in _reads(sock):
            sock.sendall(data)

    swarm, port = serve(handle)
    members = swarm.dial(port, 2)
    swarm.send(members[0], b"x" * 20)
    with pytest.raises(Lost, match="20 of 20 bytes arrived, and 2 members got too few or too many"):
        swarm.collect(members, 10)


def test_a_server_that_hangs_up_ends_the_measurement(serve):
    swarm, port = serve(lambda sock: None)
    members = swarm.dial(port, 1)
    with pytest.raises(Disconnected):
        swarm.collect(members, 10)


def test_the_echo_keeps_its_window_and_counts_what_comes_back(serve):
    frame, answer = client_frame(b"ping"), server_frame(b"ping")
    seen, most = [0, 0], [0, 0]
    numbers = iter(range(2))

    def handle(sock):
        number = next(numbers)
        waiting = b""
        for data in _reads(sock):
            waiting += data
            most[number] = max(most[number], len(waiting) // len(frame))
            while waiting:
                assert waiting.startswith(frame)
                waiting = waiting.removeprefix(frame)
                seen[number] += 1
                sock.sendall(answer)

    swarm, port = serve(handle)
    members = swarm.dial(port, 2)
    rate = swarm.answer(members, frame, len(answer), window=4, seconds=0.05)
    assert all(count >= 4 for count in seen)
    assert all(1 <= count <= 4 for count in most)
    assert 0 < rate <= sum(seen) / 0.05
    swarm.collect(members, 0)  # nothing is left over


def test_an_echo_that_loses_a_message_is_told_of(serve):
    frame = client_frame(b"ping")

    def handle(sock):
        answers = 0
        for data in _reads(sock):
            for _ in range(len(data) // len(frame)):
                answers += 1
                if answers != 3:
                    sock.sendall(server_frame(b"ping"))

    swarm, port = serve(handle)
    with pytest.raises(Lost, match="1 messages did not come back"):
        swarm.answer(swarm.dial(port, 1), frame, len(server_frame(b"ping")), window=1, seconds=0.05)


def test_calls_have_ids_of_their_own_until_all_were_used():
    frames = [client_frame(encoded({"data": SAID, "id": 1_000_000 + number})) for number in range(3)]
    make = numbered_frames({"data": SAID}, 3)
    assert [make(0), make(1), make(2), make(1)] == [b"", frames[0], frames[1] + frames[2], frames[0]]


@pytest.mark.parametrize("loses", [False, True])
def test_turns_wait_for_all_who_should_have_got_the_message(serve, loses):
    sockets: list[socket.socket] = []
    connected = threading.Event()
    lock = threading.Lock()

    def handle(sock):
        with lock:
            sockets.append(sock)
            if len(sockets) == 2:
                connected.set()
        for data in _reads(sock):
            for index, member in enumerate(sockets):
                if not (loses and index):
                    member.sendall(data)

    swarm, port = serve(handle)
    members = swarm.dial(port, 2)
    assert connected.wait(10)
    turns = [(members[number % 2], members, b"12345678") for number in range(20)]
    if loses:
        with pytest.raises(Lost, match="messages did not arrive"):
            swarm.relay(turns, 8, window=2)
    else:
        assert swarm.relay(turns, 8, window=2) > 0
        swarm.collect(members, 0)


def test_a_paced_echo_tells_what_each_message_took(serve):
    def handle(sock):
        for data in _reads(sock):
            for _ in range(len(data) // 4):
                sock.sendall(b"pong!")

    swarm, port = serve(handle)
    members = swarm.dial(port, 2)
    taken = swarm.pace(members, b"ping", 5, rate=1000, seconds=0.05)
    assert len(taken) == 50
    assert all(0 < seconds < 10 for seconds in taken)
    swarm.collect(members, 0)


@pytest.mark.parametrize(
    ("answer", "text"), [(b"", "1 messages did not come back"), (b"pong!" * 2, "nobody had sent")]
)
def test_a_paced_echo_misses_nothing(serve, answer, text):
    def handle(sock):
        for _ in _reads(sock):
            sock.sendall(answer)

    swarm, port = serve(handle)
    swarm.patience = 0.2
    with pytest.raises(Lost, match=text):
        swarm.pace(swarm.dial(port, 1), b"ping", 5, rate=1000, seconds=0.001)


def test_what_a_message_waits_for_the_one_before_counts(serve):
    def handle(sock):
        for data in _reads(sock):
            time.sleep(0.2)
            sock.sendall(b"pong!" * (len(data) // 4))

    swarm, port = serve(handle)
    taken = swarm.pace(swarm.dial(port, 1), b"ping", 5, rate=1000, seconds=0.02)
    assert len(taken) == 20
    assert min(taken) > 0.1  # of those behind the first as well


def test_a_dialogue_has_its_steps(serve):
    heard: list[bytes] = []

    def handle(sock):
        sock.sendall(b"INFO x\r\n")
        if said := sock.recv(100):
            heard.append(said)
            sock.sendall(b"PO")
            sock.sendall(b"NG")
        for _ in _reads(sock):
            pass

    swarm, port = serve(handle)
    steps = [(b"", re.compile(rb"INFO .*\r\n")), (b"PING", re.compile(b"PONG"))]
    swarm.collect([swarm.converse(port, steps)], 0)
    assert heard == [b"PING"]
    swarm.patience = 0.2
    with pytest.raises(Refused, match=r"answered b'INFO x\\r\\n' to b'', and nothing more"):
        swarm.converse(port, [(b"", re.compile(b"HELLO"))])


def _stored(*offsets: int) -> list[dict]:
    return [{"room": "stored", "event": "said", "data": 1, "at": f"e:{offset}"} for offset in offsets]


RESUMED = {"id": 1, "ok": {"room": "stored", "at": "e:3", "recovered": True, "to": "e:5"}}


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([RESUMED, *_stored(4, 5, 6)], None),
        ([RESUMED, *_stored(4, 6)], "once and in order"),
        ([RESUMED, *_stored(4, 5, 5, 6)], "once and in order"),
        ([{"id": 1, "ok": {"room": "stored", "at": "e:5", "recovered": False}}, *_stored(6)], "was told"),
        ([RESUMED, *_stored(4, 5)], "nothing arrives any more at 2 clients"),
    ],
)
def test_clients_that_come_back_have_all_once_and_in_order(serve, frames, problem):
    joins: list[bytes] = []

    def handle(sock):
        sock.recv(65536)
        sock.sendall(ANSWER)
        joins.append(sock.recv(65536))
        for frame in frames:
            sock.sendall(server_frame(encoded(frame)))
        for _ in _reads(sock):
            pass

    _, port = serve(handle)
    started = time.perf_counter()
    with closing(ReturningClients([port], 2, "stored", keeps_position=True, patience=0.3)) as clients:
        with pytest.raises(Lost, match=problem) if problem else nullcontext():
            clients.come(["e:3", "e:3"])
            clients.hear("e:6")
            clients.check()
        if not problem:
            assert joins == [client_frame(encoded({"join": "stored", "id": 1, "since": "e:3"}))] * 2
            assert started < clients.live_at() < time.perf_counter()
            assert clients.cut() == ["e:6", "e:6"]


def test_frames_are_those_of_the_protocol():
    from websockets.frames import Frame, Opcode

    text = encoded(MESSAGE)
    assert json.loads(text) == MESSAGE
    assert server_frame(text) == Frame(Opcode.TEXT, text).serialize(mask=False)
    assert len(client_frame(text)) == len(Frame(Opcode.TEXT, text).serialize(mask=True))
    head, mask, masked = client_frame(text)[:2], client_frame(text)[2:6], client_frame(text)[6:]
    assert head == bytes((0x81, 0x80 | len(text)))
    assert bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked)) == text
    assert len({len(encoded(room_message(number))) for number in (0, 9_999)}) == 1
    long = b"x" * 126
    assert server_frame(long) == Frame(Opcode.TEXT, long).serialize(mask=False)
    assert len(client_frame(long)) == len(Frame(Opcode.TEXT, long).serialize(mask=True))
    with pytest.raises(ValueError, match="65,535"):
        server_frame(b"x" * 65_536)


# Processes


def test_a_program_that_ends_says_what_it_complained_of():
    with PythonProgram(["bench.sites.publisher", "nobody"], None, talks=True) as program:
        with pytest.raises(RuntimeError, match="has ended") as caught:
            program.hear()
        assert "Error" in str(caught.value)


def test_programs_are_pinned_and_their_time_is_seen():
    core = max(machine.os.sched_getaffinity(0))
    code = "import os, sys; print(*os.sched_getaffinity(0), flush=True); sys.stdin.read()"
    with ExitStack() as stack:
        program = Program([sys.executable, "-c", code], core, talks=True)
        start(stack, [program])
        assert program.hear() == str(core)
        assert cpu_seconds([program]) > 0
        assert program.settled_kilobytes() > 1000
        pid = program.process.pid
    assert not Path(f"/proc/{pid}").exists()


def test_two_cores_are_not_two_threads_of_one(monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr(machine, "_siblings", lambda core: {0, 1})
    assert machine.choose_cores() == machine.Cores(server=0, load=2)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 1})
    assert machine.choose_cores() == machine.Cores(server=0, load=1)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {3})
    assert machine.choose_cores() == machine.Cores(None, None)


def test_what_others_take_of_the_cores_is_seen(monkeypatch):
    moments, busy, living = iter([0.0, 10.0]), iter([1.0, 1.0, 6.0, 4.0]), iter([1.0, 3.0])
    nothing = SimpleNamespace(ru_utime=0.0, ru_stime=0.0)
    monkeypatch.setattr(machine.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(machine, "_busy_seconds", lambda core: next(busy))
    monkeypatch.setattr(machine.resource, "getrusage", lambda who: nothing)
    others = machine.Others(machine.Cores(0, 1), lambda: next(living))
    assert others.share() == pytest.approx((8 - 2) / 20)


def test_the_time_of_a_core_is_read():
    core = min(machine.os.sched_getaffinity(0))
    before = machine._busy_seconds(core)
    with machine.on_core(core):
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    assert machine._busy_seconds(core) - before >= 0.08


def test_the_machine_and_all_peers_are_named():
    told = machine.describe(machine.choose_cores())
    assert set(told) == {"cpu", "cores", "pinning", "system", "python"}
    assert all(told.values())
    found = machine.versions()
    peers = "Django channels daphne channels-redis redis-py Redis uvicorn uvloop starlette chanx websockets picows"
    assert set(peers.split()) <= set(found)
    assert all(re.match(r"\d+\.\d+", number) for number in found.values())


# The command


def test_the_list_names_every_row(capsys):
    assert command.main(["--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in listed] == list(ROWS)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--only", "room-daphne,no-such"], "there is no row 'no-such'; there are: room-daphne"),
        (["--rounds", "0"], "1"),
    ],
)
def test_what_cannot_be_asked_for_is_said(arguments, text, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert text in capsys.readouterr().err


@pytest.mark.redis
@pytest.mark.server
@pytest.mark.slow
def test_a_run_leaves_its_results_in_a_file_and_keeps_those_of_other_rows(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "QUICK", replace(TINY, rounds=2))
    monkeypatch.setattr(command.signal, "signal", lambda *args: None)
    output = tmp_path / "results.json"
    for only in ("outbound-memory", "outbound-connect"):
        assert command.main(["--quick", "--only", only, "--rounds", "1", "--output", str(output)]) == 0
    found = json.loads(output.read_text())
    assert [row["name"] for row in found["rows"]] == ["outbound-connect", "outbound-memory"]
    assert all(row["rounds"] == 1 and row["date"] and row["others"] >= 0 for row in found["rows"])
    assert found["versions"] == machine.versions()
    assert "outbound-memory: memory of each of 5 outbound routes" in capsys.readouterr().out


def test_rows_of_another_machine_are_not_kept():
    one, other = {"name": "latency"}, {"name": "memory"}
    before = {"scale": "full", "machine": {"cores": 2}, "versions": {}, "rows": [one]}
    now = {"scale": "full", "machine": {"cores": 2}, "versions": {}, "rows": [other]}
    assert results.merge(before, now, list(ROWS))["rows"] == [one, other]
    assert results.merge(before | {"machine": {"cores": 4}}, now, list(ROWS))["rows"] == [other]
    assert results.merge(None, now, list(ROWS))["rows"] == [other]


@pytest.mark.parametrize("scale", [QUICK, TINY], ids=lambda scale: scale.name)
def test_a_smaller_scale_is_less_of_everything(scale):
    for name, full in vars(FULL).items():
        less = getattr(scale, name)
        if isinstance(full, tuple):
            assert (max(less), len(less)) <= (max(full), len(full))
        elif name != "name":
            assert less <= full


# The documentation


@pytest.fixture(scope="module")
def published() -> dict:
    found = results.read()
    assert found is not None
    return found


def test_the_published_results_are_of_a_whole_run(published):
    assert published["scale"] == "full"
    assert [row["name"] for row in published["rows"]] == [name for name in ROWS if name not in UNPUBLISHED]
    assert not any("problem" in row or row.get("problems") for row in published["rows"])
    assert not any("problem" in peer for row in published["rows"] for peer in row["peers"])


def test_the_bare_loop_goes_on_when_a_member_has_gone_without_a_word():
    with socket.create_server((HOST, 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        member, _ = listener.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with member:
            assert said_by(member) == b""


@pytest.mark.parametrize("path", page.PLACES, ids=lambda path: path.name)
def test_the_figures_of_the_documentation_are_those_of_the_results(path, published):
    assert path.read_text("utf-8") == page.filled(path, published), "run `python -m bench --page`"


def test_the_plot_shows_the_results(published):
    description = re.search(r"<dc:description>(.*?)</dc:description>", plot.PLOT.read_text("utf-8"))
    assert description, "run `python -m bench --plot`"
    assert json.loads(html.unescape(description[1])) == plot.drawn(published), "run `python -m bench --plot`"


def test_the_plot_can_be_drawn(published, tmp_path):
    pytest.importorskip("matplotlib")
    plot.draw(published, tmp_path / "plot.svg")
    drawn = (tmp_path / "plot.svg").read_text("utf-8")
    assert all(f">{name}</text>" in drawn for name in (*plot.STYLES, "10,000", "members of the room"))
    with pytest.raises(ValueError, match="--only curve"):
        plot.draw({"rows": []}, tmp_path / "plot.svg")


def test_marks_that_are_lost_are_missed(published, tmp_path, monkeypatch):
    lost = tmp_path / "page.md"
    lost.write_text("<!-- bench: table -->")
    monkeypatch.setitem(page.PLACES, lost, page.PLACES[page.PAGE])
    with pytest.raises(ValueError, match=r"page\.md needs a line <!-- bench: table -->"):
        page.filled(lost, published)


def test_the_headline_needs_its_rows(published):
    with pytest.raises(ValueError, match="latency"):
        headline.headline({"rows": [row for row in published["rows"] if row["name"] != "latency"]})


def test_the_headline_is_of_what_somebody_feels_and_of_no_burst(published):
    def row(name: str, *peers: str, **details: float) -> dict:
        listed = [
            {"name": peer, "median": 1.5, **{key: {"median": value} for key, value in details.items()}}
            for peer in peers
        ]
        return {"name": name, "subject": peers[0], "unit": "ms", "digits": 1, "peers": listed}

    rows = [
        *(published["rows"]),
        row("fanout-paced", "ours", p50=6.5, p99=9.0),
        row("echo-latency", "ours on uvicorn", "Channels on uvicorn", p50=0.1, p99=0.5),
        row("handshakes-user-runws", "ours", "Channels"),
        row("stall-connect", "runws_server"),
    ]
    told = headline.headline({"rows": rows}).replace("\n", " ")
    for words in (
        "ms** on stock daphne, with Channels",
        "within 6.5 ms, and 99 of 100 within 9.0 ms",
        "0.10 ms",
        "1.5 on runws_server (with Channels 1.5)",
        "the event loop of runws_server pauses for 1.5 ms",
    ):
        assert words in told
    assert "burst" not in told
    assert len(headline.headline(published)) < len(told)


def test_the_page_tells_of_every_row():
    text = page.PAGE.read_text("utf-8")
    _, _, below = text.partition("## Each row\n")
    named = re.findall(r"`([a-z0-9-]+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", below, re.MULTILINE)))
    assert set(named) == set(ROWS)
    assert f"JSON object of {len(encoded(MESSAGE))} bytes with {len(MESSAGE)} keys" in text.replace("three", "3")
    assert f"says `{READY}`" in text


@pytest.mark.parametrize("path", [page.PAGE, page.SCALE], ids=lambda path: path.name)
def test_the_commands_of_the_benchmarks_are_understood(path):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    shown = [line for block in blocks_of(path) for line in block.text.splitlines()]
    assert shown
    for line in shown:
        match shlex.split(line):
            case ["$", "make", target]:
                assert target in targets
            case ["$", "python", "-m", "bench", *arguments]:
                command.parser().parse_args(arguments)
            case ["$", "python", "-m", "bench.scale", *arguments]:
                scale.parser().parse_args(arguments)
            case other:
                raise AssertionError(other)
