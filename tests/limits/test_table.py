"""The table of limits: what is made from its rows, what has to follow them by hand, and what routes may say."""

import inspect
import re

import pytest

from django_fastws import FastWS, RouteError
from django_fastws.limits import FROM_SETTINGS, LIMITS, OPTIONS, Limits
from tests.limits.serving import serve
from tests.support.ids import shown

pytestmark = pytest.mark.usefixtures("routes")

#: What FastWS.websocket takes besides limits.
OTHERS = {"self", "path", "name", "tags", "login_required", "permission"}


def test_the_decorator_takes_the_options_of_the_table():
    parameters = inspect.signature(FastWS.websocket).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items() if name not in OTHERS}
    assert defaults == {name: limit.default for name, limit in OPTIONS.items()}


@pytest.mark.parametrize("limit", OPTIONS.values(), ids=lambda limit: limit.name)
def test_the_docstring_of_the_decorator_says_what_is_over_a_limit(limit):
    entry = re.search(
        rf"^ +{limit.name}: .*?(?=^ +\w+: |^ +Raises)", FastWS.websocket.__doc__, re.MULTILINE | re.DOTALL
    )[0]
    says = entry if "the same" not in entry else FastWS.websocket.__doc__
    assert str(limit.code) in says
    assert limit.setting is None or limit.setting.name in entry


def test_a_limit_has_one_row():
    assert len({(limit.name, limit.is_option) for limit in LIMITS}) == len(LIMITS)
    assert all(limit.is_option or limit.setting is not None for limit in LIMITS)


@pytest.mark.parametrize("limit", OPTIONS.values(), ids=lambda limit: limit.name)
def test_a_limit_that_is_left_out_is_the_settings(limit, settings):
    limits = Limits()
    assert limits.get(limit) is None
    assert not limits.is_own(limit)
    if limit.setting is not None:
        setattr(settings, limit.setting.name, value := {"rate": "5/s"}.get(limit.name, 5))
        assert limits.get(limit) == limit.kind.read(value)
        assert limits.own(limit) is None
        assert Limits(**{limit.name: value}).own(limit) == limit.kind.read(value)
        assert Limits(**{limit.name: None}).get(limit) is None
        assert Limits(**{limit.name: FROM_SETTINGS}).get(limit) == limit.kind.read(value)


@pytest.mark.parametrize("limit", [one for one in OPTIONS.values() if one.setting is None], ids=shown)
def test_what_no_setting_holds_cannot_be_left_to_the_settings(limit):
    with pytest.raises(ValueError, match=limit.name):
        Limits(**{limit.name: FROM_SETTINGS})


# Mistakes of a route


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
    assert "handshakes.echo" in str(raised.value)


def test_a_limit_that_does_not_exist_is_refused():
    with pytest.raises(TypeError):
        serve(max_conections=5)


@pytest.mark.parametrize("value", [1, 10**9])
def test_a_limit_that_can_be_is_taken(value):
    serve(max_connections=value, idle_timeout=value, max_lifetime=value / 7, max_message_bytes=value)
