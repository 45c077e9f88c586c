"""Fixtures of the tests of live rooms."""

import pytest

from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)


@pytest.fixture(autouse=True)
def only_these_rooms(routes, monkeypatch):
    """No room and no route but those that the test declares."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
