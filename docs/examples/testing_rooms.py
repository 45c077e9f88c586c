"""Tests of a live room."""

import pytest
from django.contrib.auth.models import User
from django_fastws import LiveError
from django_fastws.testing import live

ADA, BOB = User(pk=5, username="ada"), User(pk=6, username="bob")


async def test_members_hear_each_other():
    async with live(user=ADA) as ada, live(user=BOB) as bob:
        here, there = await ada.join("tickets/5"), await bob.join("tickets/5")
        assert here.state == []
        assert await here.call("say", text="hi") == 1
        said = await there.next("said")
        assert said.data == {"who": "ada", "text": "hi"}


async def test_what_does_not_fit_is_refused():
    async with live(user=ADA) as client:
        room = await client.join("tickets/6")
        with pytest.raises(LiveError) as caught:
            await room.call("say", text="x" * 2001)
        assert caught.value.code == "invalid"
        assert list(caught.value.fields) == ["text"]
        assert await room.receive_nothing()


async def test_a_page_that_comes_back_has_the_state():
    async with live(user=ADA) as client:
        room = await client.join("tickets/7")
        await room.call("say", text="hi")
        await client.reconnect()
        assert room.state == [{"who": "ada", "text": "hi"}]


async def test_some_rooms_cannot_be_joined():
    async with live(user=ADA) as client:
        with pytest.raises(LiveError, match="forbidden"):
            await client.join("tickets/0")
