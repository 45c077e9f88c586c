"""Rates as text, and buckets of tokens on a clock that the tests set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.rates import Bucket, Buckets, Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "count", "seconds", "burst"),
    [
        ("20/s", 20, 1, 20),
        ("1/s", 1, 1, 1),
        ("100/m", 100, 60, 100),
        ("1000/h", 1000, 3600, 1000),
        ("5/d", 5, 86400, 5),
        ("20/second", 20, 1, 20),
        ("20/minute", 20, 60, 20),
        ("20/hour", 20, 3600, 20),
        ("20/day", 20, 86400, 20),
        ("5/10s", 5, 10, 5),
        ("5/15m", 5, 900, 5),
        ("20/s burst 40", 20, 1, 40),
        ("20/s burst 1", 20, 1, 1),
        ("100/m  burst  20", 100, 60, 20),
        (" 20/s ", 20, 1, 20),
        ("020/s", 20, 1, 20),
    ],
)
def test_a_rate_is_read(text, count, seconds, burst):
    assert parse_rate(text) == Rate(count, seconds, burst)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "/",
            "fast",
            "20",
            "20/",
            "/s",
            "s",
            "20 / s",
            "20/x",
            "20/S",
            "20/ms",
            "20/seconds",
            "20s",
            "20/s/m",
        ),
        *("0/s", "00/s", "-1/s", "+1/s", "1.5/s", "1e3/s", "1_000/s", "٣/s", "20/0s", "20/-1s", "20/1.5s", "20/s\n"),
        *("20/s burst", "20/s burst 0", "20/s burst -1", "20/s burst x", "20/sburst 5", "20/s burst5", "20/s, 5/m"),
        *("burst 5", "20/s bursts 5", "20/s burst 5 burst 6", "9" * 10 + "/s", "20/s burst " + "9" * 5000),
    ],
)
def test_what_is_no_rate_is_refused_with_what_to_write(text):
    with pytest.raises(ValueError, match="is no rate: write '20/s'"):
        parse_rate(text)


@pytest.mark.parametrize("value", [20, 1.5, None, True, b"20/s", ["20/s"], ("20", "s")])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(TypeError, match="a rate is a str such as '20/s'"):
        parse_rate(value)


@pytest.mark.parametrize("text", ["20/s", "100/m", "5/10s", "20/s burst 40", "3/h burst 1", "7/d", "5/900s"])
def test_a_rate_can_be_written_and_read_again(text):
    assert str(parse_rate(text)) == text


# Buckets


def taken(rate, times, **options):
    """At which of these times a token was there."""
    bucket = Bucket(0)
    return [time for time in times if not bucket.take(parse_rate(rate), time, **options)]


def test_a_burst_may_come_at_once_and_the_rest_at_the_rate():
    assert taken("10/s burst 3", [0, 0, 0, 0, 0.05, 0.1, 0.1, 0.2, 0.3]) == [0, 0, 0, 0.1, 0.2, 0.3]


def test_without_a_burst_all_of_the_count_may_come_at_once():
    assert taken("5/10s", [0] * 7 + [1.9, 2, 2]) == [0] * 5 + [2]


def test_a_pause_fills_the_bucket_but_not_over_its_brim():
    assert taken("10/s burst 2", [0, 0, 100, 100, 100, 100]) == [0, 0, 100, 100]


@pytest.mark.parametrize("gap", [0.0099, 0.01, 0.02, 0.049, 0.051, 0.3])
def test_what_was_not_taken_is_not_saved_up(gap):
    bucket, rate = Bucket(0), parse_rate("100/s burst 100")
    for number in range(3600):
        bucket.take(rate, number * gap)
    at = 3600 * gap
    assert sum(not bucket.take(rate, at) for _ in range(1000)) <= 100
    assert sum(not bucket.take(rate, at) for _ in range(1000)) == 0


def test_what_is_counted_late_may_have_come_at_the_rate_since_then():
    bucket, rate = Bucket(0), parse_rate("10/s burst 1")
    # 31 messages that have come within three busy seconds, taken one after the other.
    assert not any(bucket.take(rate, 3, since=0) for _ in range(31))
    assert bucket.take(rate, 3, since=0)


def test_what_is_counted_late_saves_nothing_up_for_what_comes_after():
    bucket, rate = Bucket(0), parse_rate("10/s burst 3")
    assert bucket.take(rate, 100, since=0) == 0
    assert [bucket.take(rate, 100, since=100) > 0 for _ in range(5)] == [False] * 3 + [True] * 2


def test_events_that_are_evenly_spaced_never_find_it_empty():
    bucket, rate = Bucket(0), parse_rate("20/s burst 1")
    assert not any(bucket.take(rate, number * 0.05) for number in range(10_000))


def test_who_is_refused_is_told_how_long_to_wait_and_takes_nothing():
    bucket, rate = Bucket(0), parse_rate("1/10s")
    assert bucket.take(rate, 0) == 0
    assert [bucket.take(rate, time) for time in (0, 4, 4, 9)] == pytest.approx([10, 6, 6, 1])
    assert bucket.take(rate, 10) == 0


def test_an_untouched_bucket_is_full_and_one_that_was_taken_from_is_not():
    bucket = Bucket(5)
    assert bucket.is_full(5)
    bucket.take(parse_rate("1/10s"), 5)
    assert not bucket.is_full(14.9)
    assert bucket.is_full(15)


RATES = st.builds(Rate, st.integers(1, 50), st.sampled_from([1, 7, 60, 3600]), st.integers(1, 60))
TIMES = st.one_of(
    st.lists(st.floats(0, 20), min_size=1, max_size=150),  # in any order: a clock may go back
    st.lists(st.sampled_from([0, 0, 0.001, 0.0199, 0.02, 0.05, 1, 30]), min_size=1, max_size=150).map(
        lambda gaps: [sum(gaps[:number]) for number in range(len(gaps))]
    ),
)


@given(RATES, TIMES, st.sampled_from([0, 1e4, 3e7]))
def test_no_more_than_a_burst_and_the_rate_pass_in_any_window(rate, times, uptime):
    bucket = Bucket(uptime)
    passed = sorted(time for time in times if not bucket.take(rate, uptime + time))
    for at, start in enumerate(passed):
        for number, end in enumerate(passed[at:], 1):
            assert number <= rate.burst + (end - start) * rate.count / rate.seconds + 1e-6


@given(RATES, st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), min_size=1, max_size=60))
def test_what_waited_passes_exactly_if_it_may_have_come_within_the_rate(rate, events):
    """The model: each came at the latest of its bound, and of the first time at which a token was there."""
    bucket, now, since, tokens, filled_at = Bucket(0), 0.0, 0.0, float(rate.burst), 0.0
    per_second = rate.count / rate.seconds
    for gap, part in events:
        now, since = now + gap, max(since, now + gap * part)
        came_at = max(since, filled_at)
        tokens, filled_at = min(rate.burst, tokens + (came_at - filled_at) * per_second), came_at
        wait = max(0.0, (1 - tokens) / per_second)
        if abs(came_at + wait - now) < 1e-6:
            return  # too close to tell with floats
        passes = came_at + wait < now
        assert (bucket.take(rate, now, since) == 0) is passes
        if passes:
            tokens, filled_at = max(0.0, tokens + wait * per_second - 1), came_at + wait


def test_hours_of_floats_lose_nothing():
    rate = parse_rate("100/s burst 1")
    for uptime in (0.0, 1e5, 3e7):
        bucket = Bucket(uptime)
        assert not any(bucket.take(rate, uptime + number / 100) for number in range(360_000))


def test_a_clock_that_stands_still_or_goes_back_fills_nothing():
    bucket, rate = Bucket(1000), parse_rate("10/s burst 2")
    assert [bucket.take(rate, now) > 0 for now in (1000, 1000, 1000, 999, 500, 1000)] == [False] * 2 + [True] * 4
    assert bucket.take(rate, 1000.1) == 0


# Many buckets


def test_each_key_has_a_bucket_of_its_own():
    buckets, rate = Buckets(), parse_rate("1/s")
    assert [buckets.take(key, rate, 0) for key in "aabb"] == [0, 1, 0, 1]


def test_the_table_of_keys_has_a_bound_and_forgets_who_was_not_seen_for_longest():
    buckets, rate = Buckets(size=100), parse_rate("1/h")
    for number in range(10_000):
        buckets.take(str(number), rate, 0)
        buckets.take("regular", rate, 0)
        assert len(buckets) <= 100
    assert buckets.take("regular", rate, 0)  # who comes all the time is not forgotten
    assert buckets.take("9999", rate, 0)
    assert buckets.take("0", rate, 0) == 0


def test_buckets_that_are_full_again_are_given_back():
    buckets, rate = Buckets(), parse_rate("10/s")
    for number in range(1000):
        buckets.take(str(number), rate, 0)
    assert len(buckets) == 1000
    for number in range(600):
        buckets.take("other", rate, 10 + number)
    assert len(buckets) == 1
