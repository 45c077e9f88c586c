"""Users, their clients, and how their sockets are closed."""

from contextlib import contextmanager

from django.contrib.auth.models import User
from django.db import transaction
from django.test import AsyncClient

from django_fastws.users.background import publisher

ADA, BOB = User(pk=1, username="ada"), User(pk=999_999, username="bob")


async def closed(ws):
    """How the server closed it."""
    return await ws.wait_closed(), ws.close_reason


async def is_open(ws):
    return await ws.receive_nothing(0.05)


@contextmanager
def rolled_back():
    """A transaction that comes to nothing."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


async def logged_in(user):
    client = AsyncClient()
    await client.aforce_login(user)
    return client


def all_published():
    """Wait until the background publisher has nothing left, however slow the machine; not in an event loop."""
    if (thread := publisher._thread) is not None:
        thread.join()
