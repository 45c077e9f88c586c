"""Checks of histories in the database: for each, what provokes it and what looks like it and is right."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.db import connections

from django_fastws import FastWS, History
from django_fastws.checks import check_tables
from tests.checks.messages import found

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture
def alias(database_of_histories):
    return database_of_histories


@pytest.fixture
def no_database(monkeypatch):
    monkeypatch.setitem(connections["default"].settings_dict, "ENGINE", "django.db.backends.dummy")


def test_without_a_database(no_database):
    FastWS().room("tickets/{pk:int}", history=History())
    assert found() == {}
    FastWS().room("kept/{pk:int}", history=History(database=True))
    messages = found()
    assert list(messages) == ["fastws.E054"]
    assert "'kept/{pk:int}' in " in messages["fastws.E054"].msg


def test_with_a_database_it_is_not_asked():
    FastWS().room("kept/{pk:int}", history=History(database=True))
    assert found() == {}


def test_any_layer_will_do():
    FastWS().room("kept/{pk:int}", history=History(database=True))
    layers = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": []}}}
    assert "fastws.W053" not in found(CHANNEL_LAYERS=layers)


def test_a_database_without_the_tables_is_found_at_deployment(alias):
    assert check_tables() == []
    FastWS().room("kept/{pk:int}", history=History(database=True))
    assert check_tables() == []
    with connections[alias].cursor() as cursor:
        cursor.execute("ALTER TABLE django_fastws_historykey RENAME TO away")
    try:
        (message,) = [one for one in run_checks(include_deployment_checks=True) if one.id == "fastws.W055"]
    finally:
        with connections[alias].cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO django_fastws_historykey")
    assert "django_fastws_historykey" in message.msg
    assert message.hint == f"Run manage.py migrate django_fastws --database {alias}."
