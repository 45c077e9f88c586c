"""What a node of a cluster says of it: who has which slot, and whether it has sharded channels."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..._core.resp import ErrorReply, command
from ..._core.slots import Node, owners
from ..errors import connection_closed, not_answering, not_redis
from .connection import RedisConnection
from .history_commands import is_loading
from .hosts import Host, create_pool

__all__ = ["QUESTIONS", "ClusterAnswers", "NotAClusterError", "ask", "decode_answers"]

#: The commands whose replies are decoded here.
QUESTIONS = (command(b"CLUSTER", b"SLOTS"), command(b"COMMAND", b"INFO", b"SPUBLISH"))


class NotAClusterError(ConnectionError):
    """What is configured as a cluster is none."""


class ClusterAnswers(NamedTuple):
    """What a node says of its cluster.

    Attributes:
        owners: who has which slot, in the order of the slots; None of one that nobody has.
        has_sharded: whether it has sharded channels, as Redis has them from 7.0 on.
    """

    owners: list[Node | None]
    has_sharded: bool


def decode_answers(replies: Sequence[Any], asked: Node) -> ClusterAnswers:
    """What the replies to ``QUESTIONS`` say.

    Raises:
        NotAClusterError: this Redis is none.
        ConnectionError: it does not say, or nothing that is of use yet.
    """
    slots, spublish = replies
    if type(slots) is ErrorReply:
        if is_loading(slots) or slots.text.startswith(("NOPERM", "NOAUTH")):
            raise ConnectionError(f"Redis at {asked} does not say who has which slot: {slots.text}")
        raise NotAClusterError(
            f"Redis at {asked} is no node of a Redis Cluster ({slots.text}): name it in hosts of CHANNEL_LAYERS, "
            "not in cluster"
        )
    try:
        found = owners(slots, asked)
    except ValueError as error:
        raise not_redis(str(asked), error) from error
    if not any(found):
        raise ConnectionError(f"Redis at {asked} knows of no node that has a slot: the cluster is not made yet")
    return ClusterAnswers(found, isinstance(spublish, list) and any(spublish))


async def ask(host: Host, node: Node, seconds: float) -> ClusterAnswers:
    """Ask a node over a connection of its own.

    Args:
        host: options for redis-py of the node.
        seconds: the longest that this may take.
    Raises:
        NotAClusterError: this Redis is none.
        Exception: it cannot be reached, or does not say; those of redis-py and of sockets among them.
    """
    replies: list[Any] = []
    done = asyncio.Event()

    def received(some: list[Any]) -> None:
        replies.extend(reply for reply in some if type(reply) is not tuple)
        if len(replies) >= len(QUESTIONS):
            done.set()

    connection = RedisConnection(str(node), received, lambda error: done.set())
    try:
        async with asyncio.timeout(seconds):
            await connection.open(create_pool(host), seconds)
            connection.write(b"".join(QUESTIONS))
            await done.wait()
    except TimeoutError:
        raise not_answering(str(node)) from None
    finally:
        await connection.close()
    if len(replies) < len(QUESTIONS):
        raise connection.error or connection_closed(str(node))
    return decode_answers(replies[: len(QUESTIONS)], node)
