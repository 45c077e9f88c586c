"""The state machine as a table: every call in every state, what it does or which error it raises."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from django_fastws._core.connection_state import ClientState, Closing, ConnectionState
from django_fastws.exceptions import WebSocketDisconnect, WebSocketStateError

CONNECTING, CONNECTED, CLOSING, DISCONNECTED = ClientState


def connection(state):
    """A connection that has come to a state in the usual way."""
    made = ConnectionState()
    if state >= CONNECTED:
        made.accept()
    if state >= CLOSING:
        made.close(4001, "done")
    if state >= DISCONNECTED:
        made.finished()
    assert made.client_state is state
    return made


CALLS = {
    "accept": lambda made: made.accept(),
    "send_text": lambda made: made.send("send_text"),
    "join": lambda made: made.send("join"),
    "receive_json": lambda made: made.start_receive("receive_json"),
    "close": lambda made: made.close(1000, "bye"),
}

NOT_OPEN = (WebSocketStateError, "connecting, not open", "call accept() first")
OPEN_ALREADY = (WebSocketStateError, "open already", "call accept() once")
CLOSED = (WebSocketDisconnect, "closed", "4001 done")

# (state, call): the state afterwards, or the error and words of its text, which also names the call.
TABLE = [
    (CONNECTING, "accept", CONNECTED),
    (CONNECTING, "send_text", NOT_OPEN),
    (CONNECTING, "join", NOT_OPEN),
    (CONNECTING, "receive_json", NOT_OPEN),
    (CONNECTING, "close", CLOSING),
    (CONNECTED, "accept", OPEN_ALREADY),
    (CONNECTED, "send_text", CONNECTED),
    (CONNECTED, "join", CONNECTED),
    (CONNECTED, "receive_json", CONNECTED),
    (CONNECTED, "close", CLOSING),
    (CLOSING, "accept", CLOSED),
    (CLOSING, "send_text", CLOSED),
    (CLOSING, "join", CLOSED),
    (CLOSING, "receive_json", CLOSED),
    (CLOSING, "close", CLOSING),
    (DISCONNECTED, "accept", CLOSED),
    (DISCONNECTED, "send_text", CLOSED),
    (DISCONNECTED, "join", CLOSED),
    (DISCONNECTED, "receive_json", CLOSED),
    (DISCONNECTED, "close", DISCONNECTED),
]


def test_the_table_is_complete():
    assert {(state, call) for state, call, _ in TABLE} == {(state, call) for state in ClientState for call in CALLS}


@pytest.mark.parametrize(("state", "call", "outcome"), TABLE, ids=[f"{row[0].name}-{row[1]}" for row in TABLE])
def test_every_call_in_every_state(state, call, outcome):
    made = connection(state)
    if isinstance(outcome, ClientState):
        CALLS[call](made)
        assert made.client_state is outcome
        return
    error, *words = outcome
    with pytest.raises(error) as raised:
        CALLS[call](made)
    assert type(raised.value) is error
    assert [word for word in (f"cannot call {call}()", *words) if word not in str(raised.value)] == []
    assert made.client_state is state
    assert not made.is_receiving


def test_the_wording_of_an_error():
    """What was called, in which state, and what to do; ``test_exceptions.py`` has that of a disconnect."""
    with pytest.raises(WebSocketStateError) as raised:
        connection(CONNECTING).send("send_text")
    assert str(raised.value) == "cannot call send_text(): the connection is connecting, not open; call accept() first"


def test_states_have_the_browsers_numbers():
    assert {state.name: int(state) for state in ClientState} == {
        "CONNECTING": 0,
        "CONNECTED": 1,
        "CLOSING": 2,
        "DISCONNECTED": 3,
    }
    assert ClientState.CONNECTED == 1


@pytest.mark.parametrize(
    ("state", "closing"),
    [
        (CONNECTING, Closing.DENY),
        (CONNECTED, Closing.CLOSE),
        (CLOSING, Closing.NOTHING),
        (DISCONNECTED, Closing.NOTHING),
    ],
)
def test_close_says_what_the_transport_has_to_do(state, closing):
    assert connection(state).close(1000, "") is closing


@pytest.mark.parametrize("state", list(ClientState))
def test_it_is_closed_from_closing_on(state):
    assert connection(state).is_closed is (state >= CLOSING)


@pytest.mark.parametrize("state", [CONNECTING, CONNECTED])
def test_there_is_no_close_code_while_the_connection_lives(state):
    made = connection(state)
    assert (made.close_code, made.close_reason) == (None, "")


def test_the_first_close_is_the_one_that_counts():
    made = connection(CONNECTED)
    made.close(4000, "first")
    made.close(4001, "second")
    made.received_all(1000, "the peer's answer")
    assert (made.client_state, made.close_code, made.close_reason) == (DISCONNECTED, 4000, "first")


def test_the_peers_code_and_reason_are_kept():
    made = connection(CONNECTED)
    made.received_all(1001, "going away")
    assert (made.client_state, made.close_code, made.close_reason) == (DISCONNECTED, 1001, "going away")
    assert made.close(1000, "") is Closing.NOTHING
    assert (made.close_code, made.close_reason) == (1001, "going away")


def test_a_connection_that_is_over_may_have_messages_to_receive():
    made = connection(CONNECTED)
    assert made.status is None
    made.end(1013, "too slow")
    assert (made.client_state, made.is_closed, made.status) == (CONNECTED, False, (1013, "too slow"))
    assert made.close(1000, "bye") is Closing.CLOSE
    made.received_all(1006, "")
    assert (made.client_state, made.close_code, made.close_reason) == (DISCONNECTED, 1013, "too slow")


def test_a_peer_that_goes_during_the_handshake_is_told_by_accept():
    made = connection(CONNECTING)
    made.received_all(1006, "")
    with pytest.raises(WebSocketDisconnect) as raised:
        made.accept()
    assert raised.value.code == 1006


@pytest.mark.parametrize("call", ["send", "receive", "ping", "join"])
def test_calls_after_the_peers_close_carry_its_code(call):
    made = connection(CONNECTED)
    made.received_all(1001, "going away")
    with pytest.raises(WebSocketDisconnect) as raised:
        made.send(call)
    assert (raised.value.code, raised.value.reason) == (1001, "going away")
    assert call in str(raised.value)


def test_a_second_receiver_is_refused_and_told_what_to_do():
    made = connection(CONNECTED)
    made.start_receive("receive")
    with pytest.raises(WebSocketStateError) as raised:
        made.start_receive("receive_text")
    for words in ("cannot call receive_text()", "another task is receiving", "receive in one task"):
        assert words in str(raised.value)


def test_receiving_again_after_the_wait_is_over():
    made = connection(CONNECTED)
    made.start_receive("receive")
    made.is_receiving = False
    made.start_receive("receive")
    assert made.is_receiving


def test_sending_while_another_task_receives():
    made = connection(CONNECTED)
    made.start_receive("receive")
    made.send("send")


@pytest.mark.parametrize("state", list(ClientState))
@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (1005, "", ValueError),
        (1006, "", ValueError),
        (1015, "", ValueError),
        (1004, "", ValueError),
        (999, "", ValueError),
        (2999, "", ValueError),
        (5000, "", ValueError),
        (0, "", ValueError),
        (-1, "", ValueError),
        ("1000", "", TypeError),
        (True, "", TypeError),
        (1000.0, "", TypeError),
        (None, "", TypeError),
        (1000, b"bye", TypeError),
        (1000, "x" * 124, ValueError),
        (1000, "ü" * 62, ValueError),
    ],
)
def test_a_close_that_no_frame_can_carry_is_refused_in_every_state(state, code, reason, error):
    made = connection(state)
    with pytest.raises(error):
        made.close(code, reason)
    assert made.client_state is state


def test_the_disconnect_of_an_unknown_end_is_a_cut():
    assert connection(CONNECTED).disconnect("send").code == 1006


def test_the_status_that_was_decided_first_is_kept_and_closes_nothing_yet():
    made = connection(CONNECTED)
    made.decide(4401, "log in again")
    made.decide(1000, "")
    made.send("send_text")
    assert (made.is_closed, made.is_over, made.status) == (False, False, None)
    made.close(1000, "done")
    assert (made.close_code, made.close_reason) == (4401, "log in again")
    made.end(1006, "")
    assert made.status == (4401, "log in again")


class Life(RuleBasedStateMachine):
    """Whatever happens in whatever order, a connection only goes forward and keeps how it was closed."""

    def __init__(self):
        super().__init__()
        self.connection = ConnectionState()
        self.was = CONNECTING
        self.closed_with = None

    @rule()
    def accept(self):
        was = self.connection.client_state
        try:
            self.connection.accept()
        except WebSocketStateError:
            assert was is CONNECTED
        except WebSocketDisconnect:
            assert was >= CLOSING
        else:
            assert was is CONNECTING
            assert self.connection.client_state is CONNECTED

    @rule(call=st.sampled_from(["send", "send_json", "ping", "join"]))
    def send(self, call):
        was = self.connection.client_state
        try:
            self.connection.send(call)
        except WebSocketStateError:
            assert was is CONNECTING
        except WebSocketDisconnect:
            assert was >= CLOSING
        else:
            assert was is CONNECTED

    @rule()
    def receive(self):
        was, receiving = self.connection.client_state, self.connection.is_receiving
        try:
            self.connection.start_receive("receive")
        except WebSocketStateError:
            assert was is CONNECTING or receiving
        except WebSocketDisconnect:
            assert was >= CLOSING
        else:
            assert was is CONNECTED
            assert not receiving

    @rule()
    def received(self):
        self.connection.is_receiving = False

    @rule(
        code=st.one_of(st.sampled_from([1000, 1001, 1011]), st.integers(3000, 4999)),
        reason=st.text(max_size=30, alphabet="abü"),
    )
    def close(self, code, reason):
        closing = self.connection.close(code, reason)
        if self.was < CLOSING:
            assert closing is (Closing.DENY if self.was is CONNECTING else Closing.CLOSE)
            self.closed_with = self.closed_with or (code, reason)
        else:
            assert closing is Closing.NOTHING

    @rule()
    def finished(self):
        if self.connection.client_state is CLOSING:
            self.connection.finished()

    @rule(code=st.sampled_from([1000, 1001, 1005, 1006]), reason=st.sampled_from(["", "bye"]))
    def received_all(self, code, reason):
        self.closed_with = self.closed_with or (code, reason)
        self.connection.received_all(code, reason)
        assert self.connection.client_state is DISCONNECTED

    @rule(code=st.sampled_from([1005, 1006, 1013]))
    def end(self, code):
        self.closed_with = self.closed_with or (code, "")
        self.connection.end(code, "")
        assert self.connection.status == self.closed_with

    @invariant()
    def it_only_goes_forward(self):
        assert self.connection.client_state >= self.was
        self.was = self.connection.client_state

    @invariant()
    def it_keeps_how_it_was_closed(self):
        kept = (self.connection.close_code, self.connection.close_reason)
        assert kept == (self.closed_with or (None, ""))
        assert (self.connection.is_closed or self.connection.is_over) is (self.closed_with is not None)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=50, stateful_step_count=20)
