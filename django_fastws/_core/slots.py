"""Slots of a Redis Cluster: which one a key has, who has which, and where a node sends whoever asks the wrong one.

https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = [
    "SLOTS",
    "Node",
    "Redirect",
    "nodes_of",
    "owners",
    "parse_redirect",
    "parts_of",
    "slot_of",
    "slot_of_command",
]

#: How many there are, in every cluster.
SLOTS = 16384


class Node(NamedTuple):
    """Address of one node of a cluster.

    >>> str(Node("10.0.0.1", 6379)), str(Node("::1", 7000))
    ('10.0.0.1:6379', '[::1]:7000')
    """

    host: str
    port: int

    def as_told_by(self, asked: Node) -> Node:
        """This address as a node has said it: its own host, where it has said none."""
        return self if self.host else Node(asked.host, self.port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def slot_of(key: bytes) -> int:
    """The slot of a key, or of a channel: that of its hash tag, if it has one.

    >>> slot_of(b"123456789"), slot_of(b"a:{123456789}:b"), slot_of(b"{}123456789") == slot_of(b"123456789")
    (12739, 12739, False)
    """
    start = key.find(b"{") + 1
    if start:
        end = key.find(b"}", start)
        if end > start:
            key = key[start:end]
    return crc_hqx(key, 0) % SLOTS


#: Commands that belong to no slot, of those that are sent here.
_OF_NO_SLOT = frozenset((b"PING", b"INFO", b"CONFIG", b"SCRIPT", b"CLUSTER", b"COMMAND", b"ASKING"))
_SCRIPTS = frozenset((b"EVALSHA", b"EVAL"))


def slot_of_command(data: bytes) -> int | None:
    """The slot of an encoded command, by its first key, or its channel; None if it belongs to none.

    >>> slot_of_command(b"*2\\r\\n$3\\r\\nGET\\r\\n$9\\r\\n123456789\\r\\n")
    12739
    """
    verb, start = _part(data, data.index(b"\r\n") + 2)
    if verb in _OF_NO_SLOT:
        return None
    key, start = _part(data, start)
    if verb in _SCRIPTS:  # what has come is the script, and then the number of keys
        count, start = _part(data, start)
        if count == b"0":
            return None
        key, start = _part(data, start)
    return slot_of(key)


def parts_of(data: bytes) -> list[bytes]:
    """The parts of an encoded command.

    >>> parts_of(b"*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n")
    [b'GET', b'a']
    """
    start, parts = data.index(b"\r\n") + 2, []
    while start < len(data):
        part, start = _part(data, start)
        parts.append(part)
    return parts


def _part(data: bytes, start: int) -> tuple[bytes, int]:
    """The part of an encoded command that begins there, and where the next one does."""
    begin = data.index(b"\r\n", start) + 2
    end = begin + int(data[start + 1 : begin - 2])
    return data[begin:end], end + 2


class Redirect(NamedTuple):
    """What a node says of a command that it does not execute.

    Attributes:
        kind: "MOVED": another one has the slot; "ASK": another one may have the key, and is told that it is asked for
            it; "TRYAGAIN": neither has all keys, for they are moved just now, or nobody has the slot;
            "CLUSTERDOWN": no slot is served.
        slot: of the command; None where it is not said.
        node: that other one; its host is empty if it is the one that has been asked. None where there is none.
    """

    kind: str
    slot: int | None = None
    node: Node | None = None


def parse_redirect(text: str) -> Redirect | None:
    """What an error of a node says of the way to another one; None for any other error.

    >>> parse_redirect("MOVED 3999 10.0.0.1:6381")
    Redirect(kind='MOVED', slot=3999, node=Node(host='10.0.0.1', port=6381))
    >>> parse_redirect("TRYAGAIN Multiple keys request during rehashing of slot")
    Redirect(kind='TRYAGAIN', slot=None, node=None)
    """
    kind, _, rest = text.partition(" ")
    if kind == "CLUSTERDOWN" and "not served" in rest:  # nobody has this slot; the others are as they were
        return Redirect("TRYAGAIN")
    if kind in ("TRYAGAIN", "CLUSTERDOWN"):
        return Redirect(kind)
    if kind not in ("MOVED", "ASK"):
        return None
    number, _, address = rest.partition(" ")
    host, _, port = address.split(" ")[0].rpartition(":")
    if not number.isdigit() or int(number) >= SLOTS or not port.isdigit():
        return None
    return Redirect(kind, int(number), Node("" if host == "?" else host.strip("[]"), int(port)))


def owners(reply: Any, asked: Node) -> list[Node | None]:
    """Who has which slot, in the order of the slots, as a reply to CLUSTER SLOTS says; None where nobody has one.

    Args:
        reply: of rows with the first slot, the last, the master, and its replicas.
        asked: the node that has answered. Its host is that of every node that announces none.
    Raises:
        ValueError: this is no such reply.
    """
    found: list[Node | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in reply:
            node = Node(_host(host, asked), int(port) or asked.port)
            if not 0 <= first <= last < SLOTS:
                raise ValueError(f"slots from {first} to {last}")
            found[first : last + 1] = [node] * (last + 1 - first)
    except (TypeError, ValueError) as error:
        raise ValueError(f"no answer to CLUSTER SLOTS: {error}") from error
    return found


def _host(announced: Any, asked: Node) -> str:
    # With cluster-preferred-endpoint-type unknown-endpoint it is null, and "?" where a host name should be said that
    # was not set.
    host = announced.decode() if isinstance(announced, bytes) else ""
    return asked.host if host in ("", "?") else host


def nodes_of(found: Sequence[Node | None]) -> list[Node]:
    """Every node that has a slot, each once, in the order of their slots."""
    return list(dict.fromkeys(node for node in found if node is not None))
