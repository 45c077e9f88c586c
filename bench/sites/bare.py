"""The machine's own limit: a loop of ``socket.send`` over all members.

    python -m bench.sites.bare PORT

The first member says how many messages each is to get, in ASCII digits and a newline. There is no handshake: whoever
is accepted is told so.
"""

import select
import socket
import sys

from bench.messages import MESSAGE, READY, encoded, server_frame
from tests.support.processes import HOST


def main() -> None:
    """Accept whoever comes, and send."""
    frame = server_frame(encoded(MESSAGE))
    listener = socket.create_server((HOST, int(sys.argv[1])), backlog=128)
    members: list[socket.socket] = []
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    by_number: dict[int, socket.socket] = {}
    while True:
        for number, _ in epoll.poll():
            if number == listener.fileno():
                member, _ = listener.accept()
                member.send(server_frame(READY.encode()))
                members.append(member)
                by_number[member.fileno()] = member
                epoll.register(member, select.EPOLLIN)
            elif order := said_by(by_number[number]):
                broadcast([member.send for member in members], frame, int(order))
            else:  # gone, like whoever looked whether anybody listens
                epoll.unregister(number)
                members.remove(by_number.pop(number))


def said_by(member: socket.socket) -> bytes:
    """What a member says; nothing of one that has gone, in order or not: what it was sent may have found it gone."""
    try:
        return member.recv(100)
    except ConnectionError:
        return b""


def broadcast(sends: list, frame: bytes, times: int) -> None:  # type: ignore[type-arg]
    """The loop."""
    for _ in range(times):
        for send in sends:
            send(frame)


if __name__ == "__main__":
    main()
