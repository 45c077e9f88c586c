"""Settings: read live, by their kinds, and what means nothing is an error that names the setting."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_fastws._core.publish_keys import PublishKey
from django_fastws._core.rates import parse_rate
from django_fastws.conf import SETTINGS, check_settings, conf

# (setting, what the project has, what the package reads)
READ = [
    ("FASTWS_CONSUMERS_MODULE", "sockets.routes", "sockets.routes"),
    ("FASTWS_ALLOWED_ORIGINS", ("https://example.com",), ["https://example.com"]),
    ("FASTWS_MAX_MESSAGE_BYTES", 5, 5),
    ("FASTWS_PUBLISH_TIMEOUT_SECONDS", 5, 5.0),
    ("FASTWS_CLIENT_BACKOFF_JITTER", 0, 0.0),
    ("FASTWS_SLOW_CONSUMER", "drop_oldest", "drop_oldest"),
    ("FASTWS_SLOW_CONSUMER", "none of them", "disconnect"),
    ("FASTWS_CLIENT_LIBRARY", "picows", "picows"),
    ("FASTWS_CLIENT_LIBRARY", None, "websockets"),
    ("FASTWS_MAX_CONNECTIONS", 5, 5),
    ("FASTWS_IDLE_TIMEOUT", 0.5, 0.5),
    ("FASTWS_PUBLISH_KEYS", {"a": {"secret": "b"}}, {"a": PublishKey("a", (b"b",), ())}),
    ("FASTWS_REQUEST_TIMEOUT", None, None),
    ("FASTWS_MESSAGE_RATE", "5/s", parse_rate("5/s")),
    ("FASTWS_LOG_MASKED_PARAMETERS", ["Token"], ("token",)),
    ("FASTWS_HEALTH_PATH", None, None),
    ("FASTWS_LIVE_PATH", None, None),
    ("FASTWS_LIVE_PING_SECONDS", 25, 25.0),
    ("FASTWS_LIVE_AUTHENTICATE", "accounts.tokens.user_of", "accounts.tokens.user_of"),
    ("FASTWS_PRESENCE_GRACE_SECONDS", 0, 0),
    ("FASTWS_PRESENCE_LEASE_SECONDS", 2.5, 2.5),
    ("FASTWS_DB_RESET", True, "close"),
    ("FASTWS_DB_RESET", False, None),
    ("FASTWS_DB_RESET", "discard", "discard"),
    ("FASTWS_CLOSE_ON_LOGOUT", "session", "session"),
    ("FASTWS_CLOSE_ON_LOGOUT", 0, False),
]


@pytest.mark.parametrize(("name", "value", "read"), READ, ids=[f"{row[0]}-{row[1]!r}" for row in READ])
def test_a_setting_is_read_by_its_kind_and_live(name, value, read):
    attribute = SETTINGS[name].attribute
    before = getattr(conf, attribute)
    with override_settings(**{name: value}):
        assert getattr(conf, attribute) == SETTINGS[name].current == read
        assert type(getattr(conf, attribute)) is type(read)
    assert getattr(conf, attribute) == before


# What means nothing. Kinds that tell of it by the system check alone are in tests/checks/test_setting_values.py.
WRONG = [
    ("FASTWS_MAX_CONNECTIONS", 0),
    ("FASTWS_MAX_MESSAGE_BYTES", "1M"),
    ("FASTWS_MAX_MESSAGE_BYTES", float("inf")),
    ("FASTWS_DEFLATE_LEVEL", float("inf")),
    ("FASTWS_PUBLISH_TIMEOUT_SECONDS", 10**400),
    ("FASTWS_IDLE_TIMEOUT", 10**400),
    ("FASTWS_DRAIN_SECONDS", None),
    ("FASTWS_IDLE_TIMEOUT", float("inf")),
    ("FASTWS_PRESENCE_GRACE_SECONDS", float("inf")),
    ("FASTWS_PRESENCE_LEASE_SECONDS", 0),
    ("FASTWS_MESSAGE_RATE", "fast"),
    ("FASTWS_LOG_MASKED_PARAMETERS", "token"),
    ("FASTWS_DB_RESET", "drop"),
    ("FASTWS_ALLOWED_ORIGINS", 5),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_setting_that_means_nothing_is_an_error_that_names_it(name, value):
    said = f"{name} = {value!r} is not {SETTINGS[name].kind.wanted}"
    with override_settings(**{name: value}):
        for read in (lambda: getattr(conf, SETTINGS[name].attribute), check_settings):
            with pytest.raises(ImproperlyConfigured) as raised:
                read()
            assert str(raised.value) == said


def test_a_setting_with_secrets_is_an_error_without_them():
    name = "FASTWS_PUBLISH_KEYS"
    with override_settings(**{name: {"shop": {"secret": "hush", "room": []}}}):
        for read in (lambda: conf.publish_keys, check_settings):
            with pytest.raises(
                ImproperlyConfigured, match=f"^{name} is not a dict of keys such as .*: .*'room'"
            ) as raised:
                read()
            assert "hush" not in str(raised.value)
            assert raised.value.__suppress_context__


def test_settings_are_not_written_through_conf():
    with pytest.raises(AttributeError):
        conf.idle_timeout = 5
