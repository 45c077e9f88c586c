"""Fixtures for the tests of routes."""

from __future__ import annotations

from typing import Any

import pytest

from django_fastws import FastWS


@pytest.fixture
def app(routes: Any) -> FastWS:
    """The only FastWS there is."""
    return FastWS()
