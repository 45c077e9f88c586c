"""Limits of a route: which are taken, and which raise where they are declared."""

import pytest

from django_fastws import RouteError
from tests.limits.serving import serve

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db", "fresh")


# Mistakes


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        *[
            (name, value)
            for name in (
                "max_connections",
                "max_connections_per_address",
                "max_connections_per_user",
                "max_message_bytes",
            )
            for value in (0, -1, 1.5, "5", True, float("inf"), [])
        ],
        *[
            (name, value)
            for name in ("idle_timeout", "max_lifetime")
            for value in (0, -1, "5", True, float("inf"), float("nan"), [])
        ],
        *[
            (name, value)
            for name in ("rate", "handshake_rate")
            for value in ("", "fast", "20", "0/s", "20/x", 20, 1.5, True, [], "20/s burst 0", "-1/s")
        ],
    ],
)
def test_a_limit_that_cannot_be_is_refused_where_it_is_declared(argument, value):
    with pytest.raises(RouteError, match=argument) as raised:
        serve(**{argument: value})
    assert "limits.serving.echo" in str(raised.value)


def test_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(TypeError):
        serve(max_conections=5)


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_limit_that_can_be_is_taken(value):
    serve(max_connections=value, idle_timeout=value, max_lifetime=value / 7, max_message_bytes=value)
