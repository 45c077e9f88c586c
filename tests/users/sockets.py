"""Users who are logged in, their sockets, and how these end."""

from django.contrib.auth.models import User
from django.test import AsyncClient

from django_fastws.testing import connect


async def user_and_client(name="ada"):
    user, _ = await User.objects.aget_or_create(username=name)
    client = AsyncClient()
    await client.aforce_login(user)
    return user, client


def open_socket(client, path="/x"):
    return connect(path, cookies=client.cookies)


async def ended(ws):
    return await ws.wait_closed(), ws.close_reason


async def still_answers(ws):
    await ws.send("there?")
    return await ws.receive_text() == "there?" and await ws.receive_nothing(0.2)


SESSION, PASSWORD = (4401, "the session has ended"), (4401, "the password has changed")
INACTIVE, DELETED = (4401, "the account is not active"), (4401, "the account is deleted")


def deactivate(people):
    for user in people:
        user.is_active = False
        user.save()
