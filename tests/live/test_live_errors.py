"""Errors of live rooms: what an exception is to the client. What handlers raise is in test_calls."""

import logging

import pydantic
import pytest
from django.core.exceptions import PermissionDenied

from django_fastws import LiveError, WebSocketConnectionError, WebSocketDisconnect
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.clock import process_clock
from django_fastws.live import live_errors
from django_fastws.live.live_errors import as_live_error, significant_error


class Model(pydantic.BaseModel):
    n: int


def test_an_error_of_pydantic_names_the_fields():
    with pytest.raises(pydantic.ValidationError) as caught:
        Model(n="x")
    error = as_live_error(caught.value)
    assert error.code == "invalid"
    assert list(error.fields) == ["n"]
    assert error.message.startswith("n: ")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), TimeoutError("x"), OSError("x")])
def test_any_other_is_the_servers_own(error):
    assert as_live_error(error) is None


def test_of_a_group_failures_come_first_then_what_is_asked_for_then_a_lost_connection():
    denied, lost, failed = PermissionDenied(), WebSocketDisconnect(), ValueError("x")
    assert significant_error(ExceptionGroup("", [lost, denied])) is denied
    assert significant_error(ExceptionGroup("", [lost])) is lost
    assert as_live_error(significant_error(ExceptionGroup("", [denied, failed, LiveError("a", "b")]))) is None


def test_what_a_layer_refuses_is_in_the_log_once_a_minute_and_not_told_to_clients(monkeypatch, caplog):
    monkeypatch.setattr(live_errors, "_said", LogThrottle(60.0))
    caplog.set_level(logging.WARNING, "django_fastws.live")
    refused = WebSocketConnectionError("cannot broadcast: Redis refuses: OOM command not allowed")
    for _ in range(3):
        error = as_live_error(refused)
        assert (error.code, "OOM" in error.message) == ("unavailable", False)
    assert [record.getMessage() for record in caplog.records] == [
        f"Clients of live rooms are told that the server is unavailable: {refused}"
    ]
    monkeypatch.setattr(process_clock, "ahead", process_clock.ahead + 61)
    as_live_error(refused)
    assert len(caplog.records) == 2
