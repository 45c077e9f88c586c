"""Fixtures of the console in the admin: people with some permissions, and a fake of what the processes tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings

from tests.admin.fakes import FakeConsole


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF="tests.admin.urls"):
        yield


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> FakeConsole:
    return FakeConsole().install(monkeypatch)


@pytest.fixture
def someone(db: None) -> Callable[..., User]:
    """Make staff with these permissions: ``someone("view_room", "kick_room")``."""

    def make(*codenames: str, is_staff: bool = True, **more: Any) -> User:
        user = User.objects.create_user("bob", is_staff=is_staff, **more)
        found = Permission.objects.filter(content_type__app_label="django_fastws", codename__in=codenames)
        assert len(found) == len(codenames)
        user.user_permissions.set(found)
        return user

    return make


@pytest.fixture
def as_someone(someone: Callable[..., User]) -> Callable[..., Client]:
    """A client of staff with these permissions, which checks CSRF tokens if asked to."""

    def make(*codenames: str, enforce_csrf_checks: bool = False, **more: Any) -> Client:
        client = Client(enforce_csrf_checks=enforce_csrf_checks)
        client.force_login(someone(*codenames, **more))
        return client

    return make


@pytest.fixture
def root(db: None) -> Client:
    """A client of a superuser."""
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return client
