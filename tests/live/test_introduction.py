"""Introduction of a client: its own id, the token of its user, and what both are worth."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.test import override_settings

import django_fastws
from django_fastws import adisconnect
from django_fastws.live.client_ids import client_ids
from django_fastws.live.live_errors import FAILED
from tests.live.client import Gate, client, declare

ADA, BOB = User(pk=1, username="ada"), User(pk=2, username="bob")


@pytest.fixture
def room():
    room = declare()

    @room.on("who")
    async def who(ws) -> list[str]:
        return [str(ws.user), ws.client_id]

    return room


async def authenticate(token, scope):
    assert scope["type"] == "websocket"
    if token == "refused":
        raise PermissionDenied("expired")
    if token == "broken":
        raise ValueError("on purpose")
    return {"ada": ADA, "bob": BOB, "anonymous": AnonymousUser()}.get(token)


@pytest.fixture
def tokens(settings):
    settings.FASTWS_LIVE_AUTHENTICATE = authenticate


async def test_a_hello_is_answered_with_the_time_between_pings_and_the_version(room):
    async with client() as one:
        told = await one.ok(hello={})
        assert told["ping"] == 25
        assert told["version"] == django_fastws.__version__


async def test_the_client_id_is_said_once_and_before_the_first_join(room):
    async with client() as one:
        await one.ok(hello={"client": "c-1"})
        await one.ok(hello={"client": "c-1"})
        assert await one.code(hello={"client": "c-2"}) == "bad_request"
        await one.join("room/1")
        assert (await one.call("room/1", "who"))[1] == "c-1"
        await one.ok(hello={"client": "c-1"})
    async with client() as one:
        await one.join("room/1")
        assert await one.code(hello={"client": "c-1"}) == "bad_request"
        assert len((await one.call("room/1", "who"))[1]) == 32  # that of the socket
    assert len(client_ids) == 0


@pytest.mark.parametrize(
    ("first", "second", "is_refused"), [(None, None, False), (ADA, ADA, False), (ADA, BOB, True), (ADA, None, True)]
)
async def test_a_client_id_is_refused_as_long_as_another_user_has_it(room, first, second, is_refused):
    async with client(user=second) as two:
        async with client(user=first) as one:
            await one.ok(hello={"client": "c-1"})
            if is_refused:
                assert await two.code(hello={"client": "c-1"}) == "forbidden"
            else:
                await two.ok(hello={"client": "c-1"})
        await two.ok(hello={"client": "c-1"})


async def test_a_token_names_the_user(room, tokens):
    async with client() as one:
        await one.ok(hello={"client": "c-1", "token": "ada"})
        await one.join("room/1")
        assert await one.call("room/1", "who") == ["ada", "c-1"]
        await one.ok(hello={"token": "ada"})  # refreshed
        assert await one.code(hello={"token": "bob"}) == "forbidden"
        assert (await one.call("room/1", "who"))[0] == "ada"


@pytest.mark.parametrize("token", ["unknown", "refused", "anonymous"])
async def test_a_token_of_nobody_is_unauthenticated(room, tokens, token):
    async with client() as one:
        assert await one.code(hello={"token": token}) == "unauthenticated"
        await one.join("room/1")
        assert (await one.call("room/1", "who"))[0] == "AnonymousUser"


async def test_tokens_are_not_taken_where_nothing_reads_them(room):
    async with client() as one:
        assert await one.code(hello={"token": "ada"}) == "unauthenticated"


async def test_a_function_of_tokens_that_fails_is_logged(room, tokens, caplog):
    async with client() as one:
        assert await one.code(hello={"token": "broken"}) == "failed"
    assert "FASTWS_LIVE_AUTHENTICATE failed" in caplog.text


async def test_a_token_after_the_client_id_makes_the_id_the_users(room, tokens):
    async with client(user=BOB) as bob, client() as ada:
        await ada.ok(hello={"client": "c-1"})
        await ada.ok(hello={"token": "ada"})
        assert await bob.code(hello={"client": "c-1"}) == "forbidden"
        async with client(user=ADA) as again:
            await again.ok(hello={"client": "c-1"})
    assert len(client_ids) == 0


async def test_users_who_are_known_by_a_token_are_disconnected(room, tokens):
    async with client() as one, client() as two:
        await one.ok(hello={"token": "ada"})
        await two.ok(hello={"token": "bob"})
        await adisconnect(user=ADA, reason="logged out")
        assert await one.ws.wait_closed() == 4401
        assert one.ws.close_reason == "logged out"
        await two.join("room/1")


async def test_a_user_who_is_disconnected_while_the_token_is_read_is_refused(room, settings):
    gate = Gate()

    async def slowly(token, scope):
        await gate.wait()
        return ADA

    settings.FASTWS_LIVE_AUTHENTICATE = slowly
    async with client() as one:
        await one.say(hello={"token": "ada"}, id=1)
        await gate.came.wait()
        await adisconnect(user=ADA)
        gate.open()
        assert (await one.next())["error"]["code"] == "forbidden"
        await one.join("room/1")
        assert (await one.call("room/1", "who"))[0] == "AnonymousUser"


async def test_the_sockets_of_a_user_are_counted_however_the_user_is_known(room, tokens):
    with override_settings(FASTWS_MAX_CONNECTIONS_PER_USER=1):
        async with client(user=ADA), client() as two:
            assert await two.code(hello={"token": "ada"}) == "forbidden"
        async with client() as one:
            await one.ok(hello={"token": "ada"})


async def test_the_memberships_of_a_user_are_counted_however_late_the_user_is_known(tokens):
    declare("few/{n}", max_connections_per_user=1)
    declare("many/{n}")
    async with client() as one, client() as two:
        await one.join("few/1")
        await one.ok(hello={"token": "ada"})
        for name in ("many/1", "few/2"):
            await two.join(name)
        assert await two.code(hello={"token": "ada"}) == "unavailable"
        await two.ok(hello={"token": "bob"})
        assert await one.code(join="few/3") == "unavailable"
        await one.ok(leave="few/1")
        await one.join("few/3")


@pytest.mark.parametrize(("client_id", "is_taken"), [("c-17", True), ("page", True), ("17", False), ("-1", False)])
async def test_a_client_id_that_could_be_the_key_of_a_user_is_refused(room, client_id, is_taken):
    async with client() as one:
        told = await one.answer(hello={"client": client_id})
        assert ("ok" in told) is is_taken
        if not is_taken:
            assert told["error"]["code"] == "bad_request"


async def test_a_failure_of_the_function_of_tokens_keeps_nothing_in_memory(room, tokens):
    async with client() as one:
        await one.code(hello={"token": "broken"})
    assert FAILED.__traceback__ is None
