"""Fixtures of the tests of what tests are written with."""

import pytest

from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)


@pytest.fixture(autouse=True)
def _only_these_routes(routes, monkeypatch):
    """No room and no route but those that the test declares."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
