"""Actions over all processes, and what is told of them."""

import pytest

from django_fastws._core.questions import Question, encode_question
from django_fastws.console import close_sockets, drain_process, kick, restart_route
from django_fastws.layer import get_broker
from django_fastws.processes import ask_processes, current_responder

SECONDS = 10.0


class User:
    is_authenticated = True

    def __init__(self, pk):
        self.pk = pk


async def test_sockets_are_closed_wherever_they_are_and_counted(processes):
    one, other = processes(2)
    sockets = [one.open(), other.open(), other.open()]
    left = one.open()
    result = await close_sockets([ws.id for ws in sockets] + ["0" * 32], code=4000, reason="enough", seconds=SECONDS)
    assert (result.done, result.answered, result.is_partial) == (3, 2, False)
    closed = {**one.closed, **other.closed}
    assert closed == dict.fromkeys(sockets, ("console", 4000, "enough"))
    assert left not in closed
    assert (await close_sockets([ws.id for ws in sockets], seconds=SECONDS)).done == 0


async def test_members_are_kicked_by_id_or_by_user(processes):
    one, other = processes(2)
    ada, elsewhere = User(7), one.open(rooms=["b"], user=User(7))
    members = [one.open(rooms=["a"], user=ada), other.open(rooms=["a"], user=ada), other.open(rooms=["a"])]
    assert (await kick("a", ids=[members[2].id, elsewhere.id], seconds=SECONDS)).done == 1
    assert other.closed == {members[2]: ("kick", 4403, "")}
    assert (await kick("a", user=ada, code=4001, reason="bye", seconds=SECONDS)).done == 2
    assert one.closed == {members[0]: ("kick", 4001, "bye")}


async def test_only_a_process_that_can_is_drained(processes):
    one, other = processes(2)
    drained = []

    async def can():
        current_responder().drain = lambda: drained.append(one)

    one.run(can())
    result = await drain_process(one.name, seconds=SECONDS)
    assert (result.done, result.errors) == (1, {})
    result = await drain_process(other.name, seconds=SECONDS)
    assert result.done == 0
    assert "runws_server" in result.errors[other.name]
    result = await drain_process("gone", seconds=SECONDS)
    assert (result.done, list(result.errors)) == (0, ["gone"])
    one.settle()
    assert drained == [one]


async def test_a_route_that_does_not_run_there_is_no_success(process):
    result = await restart_route(process.name, "feed", seconds=SECONDS)
    assert result.done == 0
    assert "feed" in result.errors[process.name]


@pytest.mark.parametrize(
    "act",
    [
        lambda: close_sockets(["a"], code=1005),
        lambda: close_sockets(["a"], reason="x" * 124),
        lambda: close_sockets("abc"),
        lambda: close_sockets(["a"] * 10_001),
        lambda: kick("a"),
        lambda: kick("a", ids=["b"], user=User(1)),
        lambda: kick("", ids=["b"]),
        lambda: drain_process(""),
        lambda: restart_route("a", ""),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anybody_is_asked(act):
    with pytest.raises((TypeError, ValueError)):
        await act()


@pytest.mark.parametrize(
    ("topic", "arguments"),
    [
        ("console.close", {"ids": "all", "code": 1000, "reason": ""}),
        ("console.close", {"ids": [1], "code": 1000, "reason": ""}),
        ("console.close", {"ids": [], "code": 1005, "reason": ""}),
        ("console.close", {"ids": [], "code": "1000", "reason": ""}),
        ("console.close", None),
        ("console.kick", {"room": 5, "ids": [], "user": "", "code": 1000, "reason": ""}),
        ("console.kick", []),
        ("console.sockets", {"limit": 10**9}),
        ("console.sockets", {"limit": 10, "search": {}, "order": "opened", "reverse": False, "after": [1, 2]}),
        ("console.sockets", {"limit": 10, "search": {"user": 5}, "order": "opened", "reverse": False, "after": None}),
        ("console.rooms", {"limit": "10"}),
        ("console.room_counts", {"names": "all"}),
        ("console.restart", {"route": 5}),
    ],
)
async def test_whoever_publishes_nonsense_is_told_and_nothing_is_logged(process, caplog, topic, arguments):
    ws = process.open()
    (answer,) = (await ask_processes(topic, arguments, seconds=SECONDS)).answers.values()
    assert answer.error
    assert process.closed == {}
    assert ws.id
    assert [record for record in caplog.records if record.exc_info] == []


async def test_an_answer_is_sought_by_nobody_else(process):
    """An action is done for whoever publishes it: that is the trust of the layer, and its documentation says so."""
    ws = process.open()
    arguments = {"ids": [ws.id], "code": 1008, "reason": ""}
    await get_broker().apublish(encode_question(Question("0" * 32, "console.close", arguments, 5.0)))
    assert (await ask_processes("process", seconds=SECONDS)).answers
    process.settle()
    assert process.closed == {ws: ("console", 1008, "")}
