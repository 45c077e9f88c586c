"""The transport of a socket that went out to a peer that is not there."""

import asyncio
from collections import deque

from django_fastws._core.connection_state import ClientState, ConnectionState
from django_fastws.exceptions import WebSocketDisconnect
from django_fastws.metrics import Traffic


class InboxOfNone:
    """Of messages that may be taken without asking the transport: there are none, unless a test puts some in."""

    def __init__(self):
        self.messages = deque()
        self.is_paused = False
        self.fewest = 1
        self.resumed_at = []

    def resume(self):
        self.is_paused = False
        self.resumed_at.append(len(self.messages))


class OutgoingTransport:
    """What came from the peer is in ``came``; behind it, the connection is over."""

    name = "fake"
    url = "wss://ada:opensesame@feed.example/quotes?token=opensesame"
    attempt, token, latency = 3, 17, 0.25

    def __init__(self, *came):
        self.state = ConnectionState(ClientState.CONNECTED, is_answered=True)
        self.came = list(came)
        self.traffic = Traffic()
        self.waited = 0
        self.inbox = InboxOfNone()

    def try_receive(self):
        return self.came.pop(0) if self.came else None

    async def receive_data(self):
        self.waited += 1
        await asyncio.sleep(0)
        if not self.came:
            raise WebSocketDisconnect(4000, "bye")
        return self.came.pop(0)

    def ended(self):
        return None

    def release(self):
        """Nothing waits."""
