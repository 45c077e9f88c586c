"""The queue of messages of many channels: its order, its bound, and who is dropped."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.channel_queue import OVERHEAD, ChannelQueue
from tests.support.memory import memory_of


def everything(queue):
    taken = []
    while queue:
        taken.append(queue.pop())
    return taken


def test_messages_come_out_in_the_order_in_which_they_came_in():
    queue = ChannelQueue(10_000)
    messages = [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b""), (b"b", b"5")]
    assert [queue.push(*message) for message in messages] == [0] * 5
    assert len(queue) == 5
    assert everything(queue) == messages
    assert (len(queue), queue.size) == (0, 0)
    with pytest.raises(IndexError):
        queue.pop()


def test_the_oldest_of_the_channel_that_has_most_are_dropped():
    queue = ChannelQueue(16 * (OVERHEAD + 100))
    queue.push(b"quiet", b"q" * 100)
    dropped = sum(queue.push(b"busy", b"%03d" % number + b"x" * 97) for number in range(100))
    left = everything(queue)
    assert left[0] == (b"quiet", b"q" * 100)
    assert [int(data[:3]) for _, data in left[1:]] == [*range(dropped, 100)]
    assert dropped + len(left) == 101


def test_messages_without_bytes_are_bounded_too():
    queue = ChannelQueue(100 * OVERHEAD)
    for _ in range(10_000):
        queue.push(b"a", b"")
    assert len(queue) <= 100


def test_what_just_fits_is_kept():
    queue = ChannelQueue(2 * (OVERHEAD + 10))
    assert [queue.push(channel, b"x" * 10) for channel in (b"a", b"b")] == [0, 0]
    assert queue.push(b"a", b"") > 0


def test_a_queue_that_was_cleared_is_as_new():
    queue = ChannelQueue(4 * OVERHEAD)
    queue.push(b"a", b"x" * 3 * (OVERHEAD - 10))
    queue.clear()
    assert (len(queue), queue.size, everything(queue)) == (0, 0, [])
    assert sum(queue.push(b"c", b"%d" % number) for number in range(4)) > 0
    assert everything(queue)[-1] == (b"c", b"3")


def test_a_message_over_the_bound_is_kept_until_the_next():
    queue = ChannelQueue(1000)
    assert queue.push(b"a", b"x" * 5000) == 0
    assert queue.push(b"a", b"y") == 1
    assert everything(queue) == [(b"a", b"y")]


def test_what_waits_of_a_channel_can_be_taken_out():
    queue = ChannelQueue(10_000)
    for channel in (b"a", b"b", b"a"):
        queue.push(channel, b"x")
    queue.discard(b"a")
    queue.discard(b"nobody")
    assert everything(queue) == [(b"b", b"x")]
    assert queue.size == 0


def test_what_was_dropped_takes_no_memory():
    queue = ChannelQueue(100 * OVERHEAD)
    for number in range(20_000):
        queue.push(b"%d" % (number % 7), b"")
        if number == 200:
            full = memory_of(queue)
    assert memory_of(queue) < 2 * full


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"pop"]), st.integers(0, 400)), max_size=120))
def test_each_channel_keeps_its_order_and_its_newest_and_the_bound_holds(steps):
    queue, limit = ChannelQueue(4000), 4000
    pushed, taken, dropped = Counter(), [], 0
    for channel, size in steps:
        if channel == b"pop":
            if queue:
                taken.append(queue.pop())
            continue
        pushed[channel] += 1
        dropped += queue.push(channel, b"%06d" % pushed[channel] + b"x" * size)
        assert queue.size <= limit
    rest = everything(queue)
    assert dropped + len(taken) + len(rest) == sum(pushed.values())
    for channel, count in pushed.items():
        numbers = [int(data[:6]) for name, data in taken + rest if name == channel]
        assert numbers == sorted(set(numbers))
        assert not rest or rest[-1][0] != channel or numbers[-1] == count
