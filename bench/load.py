"""The load generator: raw sockets that count bytes.

It parses nothing: every message is of one size, so that the bytes tell how many have come. One call of the system
takes as many bytes as there are, for which it has one buffer.
"""

from __future__ import annotations

import random
import re
import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import cycle

from tests.support.processes import HOST

__all__ = ["AT_ONCE", "Disconnected", "Lost", "Refused", "Swarm", "handshake"]

_REQUEST = (
    "GET {path} HTTP/1.1\r\n"
    "Host: {host}:{port}\r\n"
    "Origin: http://{host}:{port}\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "{headers}\r\n"
)
#: Handshakes under way; servers let some tens wait to be accepted.
AT_ONCE = 32
_BUFFER_BYTES = 1024 * 1024


def handshake(port: int, path: str, headers: str = "") -> bytes:
    """The request that opens a WebSocket.

    Args:
        headers: further ones, each with its line break.
    """
    return _REQUEST.format(path=path, host=HOST, port=port, headers=headers).encode()


class Lost(Exception):
    """Messages did not arrive; the text says how many of how many."""


class Refused(Exception):
    """A handshake was not answered as it should; the text says how."""


class Disconnected(Exception):
    """The server has closed a socket."""


class Swarm:
    """Sockets to one server, or to several.

    Args:
        patience: for how many seconds nothing may arrive before what is missing counts as lost.
    """

    def __init__(self, patience: float = 30.0) -> None:
        self.patience = patience
        self._epoll = select.epoll()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._sockets: dict[int, socket.socket] = {}
        self._got: dict[int, int] = {}  # bytes that were not asked for yet

    def dial(self, port: int, count: int) -> list[int]:
        """Open sockets without a handshake; returns a number for each."""
        return [self._add(socket.create_connection((HOST, port), timeout=self.patience)) for _ in range(count)]

    def connect(
        self, port: int, paths: Sequence[str], hello: bytes = b"", headers: Sequence[str] = ("",)
    ) -> list[int]:
        """Open a WebSocket for each path; returns a number for each, in their order.

        Args:
            hello: what the server sends first, after its answer.
            headers: further ones of the requests, each with its line break; each has the next of these.
        Raises:
            Refused: the answer was another one, or none.
        """
        members: list[int] = []
        replies: dict[int, bytes] = {}
        deadline = time.monotonic() + self.patience
        while replies or len(members) < len(paths):
            while len(replies) < AT_ONCE and len(members) < len(paths):
                (fd,) = self.dial(port, 1)
                self._sockets[fd].send(handshake(port, paths[len(members)], headers[len(members) % len(headers)]))
                members.append(fd)
                replies[fd] = b""
            for fd, _ in self._epoll.poll(max(0, deadline - time.monotonic())):
                if fd not in replies:
                    raise Disconnected("the server has closed a socket, or sent what nobody asked for")
                replies[fd] += self._sockets[fd].recv(65536) or b"\r\n\r\n (and it closed the connection)"
                head, end, rest = replies[fd].partition(b"\r\n\r\n")
                if end and (not head.startswith(b"HTTP/1.1 101 ") or not hello.startswith(rest)):
                    status, _, _ = head.partition(b"\r\n")
                    raise Refused(f"the server answered {status!r}, {rest!r}")
                if end and rest == hello:
                    del replies[fd]
                    deadline = time.monotonic() + self.patience
            if time.monotonic() > deadline:
                raise Refused(f"{len(members) - len(replies):,} of {len(paths):,} handshakes were answered")
        return members

    def converse(self, port: int, steps: Sequence[tuple[bytes, re.Pattern[bytes]]]) -> int:
        """Open one connection by a dialogue, for protocols that greet in several steps; returns its number.

        Args:
            steps: for each: what is sent, and what all that comes back for it must match before the next step.
        Raises:
            Refused: something else came back, or nothing more.
        """
        sock = socket.create_connection((HOST, port), timeout=self.patience)
        for said, expected in steps:
            sock.sendall(said)
            heard = b""
            while not expected.fullmatch(heard):
                try:
                    data = sock.recv(65536)
                except TimeoutError:
                    data = b""
                if not data:
                    sock.close()
                    raise Refused(f"the server answered {heard!r} to {said!r}, and nothing more")
                heard += data
        return self._add(sock)

    def _add(self, sock: socket.socket) -> int:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = sock.fileno()
        self._sockets[fd] = sock
        self._got[fd] = 0
        self._epoll.register(fd, select.EPOLLIN)
        return fd

    def port_of(self, member: int) -> int:
        """Its own port, by which a server knows it."""
        port: int = self._sockets[member].getsockname()[1]
        return port

    def send(self, member: int, data: bytes) -> None:
        """Send all of it; what arrives meanwhile is counted."""
        rest = memoryview(data)
        deadline = time.monotonic() + self.patience
        while rest:
            try:
                rest = rest[self._sockets[member].send(rest) :]
            except BlockingIOError:
                self._take(0.001)
                if time.monotonic() > deadline:
                    raise Lost("the server does not read what it is sent") from None

    def collect(self, members: Sequence[int], size: int, every: float = 0.0) -> float:
        """Wait until each of the members, who are all there are, has got so many bytes, and not one more.

        Args:
            every: look only so often, in seconds. Otherwise every message costs the server the time to wake this
                process.
        Returns:
            When the last byte came (of ``time.perf_counter``).
        Raises:
            Lost: they have not.
        """
        expected = size * len(members)
        total = sum(self._got.values())
        while total < expected and (taken := self._take(self.patience)):
            total += taken
            if every:
                time.sleep(every)
        last = time.perf_counter()
        wrong = sum(self._got[member] != size for member in members)
        for member in members:
            self._got[member] = 0
        if wrong:
            raise Lost(f"{total:,} of {expected:,} bytes arrived, and {wrong:,} members got too few or too many")
        return last

    def collect_any(self, member: int, expected: int) -> tuple[int, float]:
        """Wait until a member has got so many bytes, or nothing more comes.

        Returns:
            How many it has got, and when the last of them came (of ``time.perf_counter``).
        """
        last = time.perf_counter()
        while self._got[member] < expected and self._take(self.patience):
            last = time.perf_counter()
        got, self._got[member] = self._got[member], 0
        return got, last

    def _take(self, seconds: float) -> int:
        """Take what there is, or what comes within so many seconds; returns how many bytes."""
        taken, got, buffer, sockets = 0, self._got, self._buffer, self._sockets
        for fd, _ in self._epoll.poll(seconds):
            count = sockets[fd].recv_into(buffer)
            if not count:
                raise Disconnected("the server has closed a socket")
            got[fd] += count
            taken += count
        return taken

    def answer(
        self, members: Sequence[int], frame: bytes | Callable[[int], bytes], size: int, window: int, seconds: float
    ) -> float:
        """Send messages, and for each that comes back another one, for so long.

        Args:
            frame: what is sent; or what makes so many frames, each another one.
            size: the bytes of what comes back for each.
            window: how many messages of each member are under way.
        Returns:
            How many came back in a second.
        Raises:
            Lost: not all came back.
        """
        made = [frame * count for count in range(window + 1)].__getitem__ if isinstance(frame, bytes) else frame
        sockets, got, buffer, poll = self._sockets, self._got, self._buffer, self._epoll.poll
        for member in members:
            self.send(member, made(window))
        under_way = window * len(members)
        back = 0
        started = now = time.perf_counter()
        end = started + seconds
        while now < end:
            events = poll(self.patience)
            for fd, _ in events:
                got[fd] += sockets[fd].recv_into(buffer)
                count, got[fd] = divmod(got[fd], size)
                if count:
                    back += count
                    sockets[fd].send(made(count))
            now = time.perf_counter()
            if not events:
                break
        rate = back / (now - started)
        while under_way and (events := poll(self.patience)):
            for fd, _ in events:
                taken = sockets[fd].recv_into(buffer)
                got[fd] += taken
                count, got[fd] = divmod(got[fd], size)
                under_way -= count
                if not taken:
                    raise Disconnected("the server has closed a socket")
        if under_way:
            raise Lost(f"{under_way:,} messages did not come back")
        return rate

    def pace(self, members: Sequence[int], frame: bytes, size: int, rate: float, seconds: float) -> list[float]:
        """Send messages by turns at a rate of one's own, whatever comes back when.

        They come at random, as from many clients who know nothing of one another, in the same pattern each time.

        Args:
            size: the bytes of what comes back for each.
            rate: messages in a second.
        Returns:
            Seconds from the moment at which each was due until it was back, in the order in which they came back: a
            server that keeps some waiting makes those late that should have been sent meanwhile, too.
        Raises:
            Lost: not all came back, or too many.
        """
        gap = random.Random(1).expovariate
        due: dict[int, deque[float]] = {member: deque() for member in members}
        latencies: list[float] = []
        turns = cycle(members)
        left = max(1, round(rate * seconds))
        under_way = 0
        last = moment = time.perf_counter()
        while left or under_way:
            now = time.perf_counter()
            while left and moment <= now:
                member = next(turns)
                self._sockets[member].send(frame)
                due[member].append(moment)
                moment += gap(rate)
                left -= 1
                under_way += 1
            for fd, _ in self._epoll.poll(0 if left else self.patience):
                self._got[fd] += self._sockets[fd].recv_into(self._buffer)
                count, self._got[fd] = divmod(self._got[fd], size)
                last = time.perf_counter()
                if count > len(due[fd]):
                    raise Lost(f"{count - len(due[fd]):,} messages came back that nobody had sent")
                latencies += [last - due[fd].popleft() for _ in range(count)]
                under_way -= count
            if under_way and time.perf_counter() - last > self.patience:
                raise Lost(f"{under_way:,} messages did not come back")
            if not under_way:
                last = now
        return latencies

    def pace_room(self, members: Sequence[int], frame: bytes, size: int, rate: float, seconds: float) -> list[float]:
        """Let the first member say things at a steady rate, whatever reaches whom when.

        Args:
            members: of the room, who are all there are.
            size: the bytes of what each member gets for one.
            rate: in a second.
        Returns:
            Seconds from the moment at which each was due until the last member had it.
        Raises:
            Lost: not all of them have got everything, or some too much.
        """
        count = max(1, round(rate * seconds))
        missing = [len(members)] * count
        sockets, buffer, got = self._sockets, self._buffer, dict.fromkeys(members, 0)
        latencies: list[float] = []
        said, began = 0, time.perf_counter()
        while len(latencies) < count:
            while said < count and began + said / rate <= time.perf_counter():
                sockets[members[0]].send(frame)
                said += 1
            wait = began + said / rate - time.perf_counter() if said < count else self.patience
            ready = self._epoll.poll(max(0.0, wait))
            if not ready and said == count:
                raise Lost(f"{count - len(latencies):,} of {count:,} broadcasts have not reached all members")
            for fd, _ in ready:
                before = got[fd] // size
                got[fd] += sockets[fd].recv_into(buffer)
                for place in range(before, got[fd] // size):
                    if place >= said:
                        raise Lost("members got what nobody had said")
                    missing[place] -= 1
                    if not missing[place]:
                        latencies.append(time.perf_counter() - began - place / rate)
        return latencies

    def relay(self, turns: Sequence[tuple[int, Sequence[int], bytes]], size: int, window: int) -> float:
        """Take turns: one member sends, and when all who should have got it have, the next turn comes.

        Args:
            turns: for each: who sends, who gets a message for it, and the frame that is sent.
            size: the bytes of what each of them gets.
            window: how many turns are under way at once.
        Returns:
            How many turns were over in a second.
        Raises:
            Lost: somebody did not get something.
        """
        got, sockets, buffer = self._got, self._sockets, self._buffer
        expected = Counter(receiver for _, receivers, _ in turns for receiver in receivers)
        missing = expected.total()
        each = missing // len(turns)
        next_turn = iter(turns)
        over = 0
        started = time.perf_counter()
        for _ in range(min(window, len(turns))):
            sender, _, frame = next(next_turn)
            sockets[sender].send(frame)
        while missing and (events := self._epoll.poll(self.patience)):
            for fd, _ in events:
                taken = sockets[fd].recv_into(buffer)
                if not taken:
                    raise Disconnected("the server has closed a socket")
                got[fd] += taken
                count, got[fd] = divmod(got[fd], size)
                expected[fd] -= count
                over += count
                missing -= count
            while over >= each and (turn := next(next_turn, None)) is not None:
                over -= each
                sockets[turn[0]].send(turn[2])
        rate = len(turns) / (time.perf_counter() - started)
        if missing or any(expected.values()):
            raise Lost(f"{missing:,} messages did not arrive, or arrived elsewhere")
        return rate

    def close(self) -> None:
        """Close all sockets."""
        for sock in self._sockets.values():
            sock.close()
        self._epoll.close()

    def __enter__(self) -> Swarm:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
