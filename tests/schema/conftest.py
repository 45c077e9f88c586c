"""Fixtures of the tests of schemas."""

from __future__ import annotations

import pytest

from django_fastws import FastWS
from django_fastws.live import live_rooms
from django_fastws.schema import Description, describe
from tests.schema.rooms import declare_rooms


@pytest.fixture
def described(routes) -> Description:
    """All rooms of ``rooms.py``."""
    declare_rooms(FastWS())
    return describe(live_rooms())
