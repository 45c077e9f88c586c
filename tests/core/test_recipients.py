"""Members in a flat list, each with its sink: what is written directly, and what is posted."""

import pytest

from django_fastws._core.fanout import _STEP, FanOut
from django_fastws._core.messages import Payload
from django_fastws._core.recipients import Recipients, not_direct, sink_of


class Socket:
    """A member and its sink, whose socket takes so many bytes of each frame, or raises."""

    def __init__(self, takes=None, name="member"):
        self.id = name
        self.takes = takes
        self.done = []

    def direct(self, frames):
        if isinstance(self.takes, Exception):
            raise self.takes
        taken = len(frames) if self.takes is None else self.takes
        if taken >= 0:
            self.done.append(("direct", frames[:taken]))
        return taken

    def post(self, batch):
        self.done.append(("post", batch.frame))
        return True

    def write_rest(self, rest):
        self.done.append(("rest", rest))


def fan_out(*members, exclude=None):
    return FanOut([(Payload("hello"), exclude)], {member: member.post for member in members})


FRAME = Payload("hello").frame


@pytest.mark.parametrize(
    ("takes", "done", "started"),
    [
        (None, [("direct", FRAME)], 0),
        (3, [("direct", FRAME[:3]), ("rest", FRAME[3:])], 0),
        (0, [("direct", b""), ("rest", FRAME)], 0),
        (-1, [("post", FRAME)], 1),
        (BlockingIOError(), [("rest", FRAME)], 0),
        (BrokenPipeError(), [("rest", FRAME)], 0),
    ],
)
def test_what_the_socket_does_not_take_goes_the_way_of_the_server_and_disturbs_nobody(takes, done, started):
    before, member, behind = Socket(), Socket(takes), Socket()
    sending = fan_out(before, member, behind)
    assert sending.run((), lambda: False)
    assert (member.done, sending.started) == (done, started)
    assert before.done == behind.done == [("direct", FRAME)]


def test_a_sink_that_fails_is_logged_and_disturbs_nobody(caplog):
    broken, behind = Socket(ValueError("on purpose")), Socket()
    fan_out(broken, behind).run((), lambda: False)
    assert behind.done == [("direct", FRAME)]
    (record,) = caplog.records
    assert str(record.exc_info[1]) == "on purpose"


def test_where_somebody_is_excluded_the_others_are_posted_to():
    one, two = Socket(name="one"), Socket(name="two")
    fan_out(one, two, exclude="one").run((), lambda: False)
    assert (one.done, two.done) == ([], [("post", FRAME)])


def test_the_first_slice_is_written_directly_and_who_has_left_before_the_next_is_passed_over():
    members = [Socket() for _ in range(2 * _STEP)]
    sending = fan_out(*members)
    assert not sending.run((), lambda: True)
    assert sending.run(members[:-1], lambda: True)
    done = [member.done for member in members]
    assert done == _STEP * [[("direct", FRAME)]] + (_STEP - 1) * [[("post", FRAME)]] + [[]]


def test_a_member_that_is_sent_to_in_another_way_meanwhile_is_not_written_to_directly():
    members, held = [Socket() for _ in range(2 * _STEP)], []
    sending = fan_out(*members)
    sending.run((), lambda: True)
    sending.repost(members[-1], held.append)
    sending.run(members, lambda: True)
    assert (members[-1].done, [batch.frame for batch in held]) == ([], [FRAME])


def test_what_is_no_method_of_a_sink_is_posted_to():
    got = []
    sink = sink_of(got.append)
    assert sink.direct(b"x") == not_direct(b"x") == -1
    sink.post(Payload("x"))
    assert len(got) == 1
    member = Socket()
    assert sink_of(member.post) is member
    assert Recipients.of({member: member.post}).sinks == [member]
