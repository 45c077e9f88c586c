"""Throttle of log lines, by kind."""

from django_fastws._core.log_throttle import LogThrottle


def test_the_first_is_logged_at_once_and_the_next_with_how_many_there_were():
    throttle = LogThrottle(seconds=1)
    logged = []
    for time in (10, 10.1, 10.5, 10.999, 11.0, 11.5, 13):
        throttle.add("rate")
        logged.append(throttle.take("rate", time))
    assert logged == [1, 0, 0, 0, 4, 0, 2]


def test_kinds_are_apart():
    throttle = LogThrottle()
    throttle.add("rate")
    throttle.add("idle")
    assert throttle.take("rate", 5) == 1
    assert throttle.take("idle", 5) == 1


def test_nothing_is_logged_where_nothing_has_happened():
    throttle = LogThrottle()
    assert throttle.take("rate", 5) == 0
    throttle.add("rate")
    throttle.take("rate", 5)
    assert throttle.take("rate", 50) == 0


def test_how_long_it_is_until_the_next_may_be_logged():
    throttle = LogThrottle(seconds=2)
    assert throttle.wait("rate", 5) == 0
    throttle.add("rate")
    throttle.take("rate", 5)
    assert [throttle.wait("rate", time) for time in (5, 6.5, 7, 100)] == [2, 0.5, 0, 0]
