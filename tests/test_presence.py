"""Who is online, as users of the package ask for it."""

from __future__ import annotations

import uuid
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, User

from django_fastws import PresenceUnavailable, Room, WebSocketStateError, presence
from django_fastws.clock import process_clock
from django_fastws.layer import get_broker
from django_fastws.rooms import current_presence
from django_fastws.rooms.attendances import Attendance


@pytest.fixture(params=["here", pytest.param("redis", marks=pytest.mark.redis)], autouse=True)
def layer(request, settings):
    redis = request.param == "redis"
    settings.CHANNEL_LAYERS = {"default": request.getfixturevalue("redis_layer")} if redis else {}
    settings.FASTWS_PRESENCE_GRACE_SECONDS = 0


def user():
    return SimpleNamespace(pk=uuid.uuid4().int >> 80, is_authenticated=True)


async def enter(one, room="online-room"):
    attendance = Attendance(room, str(one.pk), f"c-{uuid.uuid4()}", is_user=True, is_named=True)
    await current_presence().enter(attendance, b'{"card":1}')
    return attendance


async def leave(attendance, room="online-room"):
    current_presence().leave(attendance)
    # A later report of the room follows this one.
    await current_presence().enter(Attendance(room, f"c-{uuid.uuid4()}", "c", is_user=False, is_named=True), b"1")


in_a_thread = sync_to_async(thread_sensitive=False)


async def test_a_user_is_online_from_the_first_room_to_the_last():
    one = user()
    assert not await presence.ais_online(one)
    first, second = await enter(one), await enter(one, "other-room")
    for who in (one, one.pk, str(one.pk)):
        assert await presence.ais_online(who)
        assert await in_a_thread(presence.is_online)(who)
    await leave(first)
    assert await presence.ais_online(one)
    await leave(second, "other-room")
    assert not await presence.ais_online(one)
    assert not await in_a_thread(presence.is_online)(one)


async def test_many_are_asked_for_at_once():
    here, there = [user() for _ in range(3)], [user() for _ in range(3)]
    for one in here:
        await enter(one)
    assert await presence.aonline(here + there) == {one.pk for one in here}
    assert await in_a_thread(presence.online)(one.pk for one in here + there) == {one.pk for one in here}
    assert await presence.aonline([]) == set()
    assert await in_a_thread(presence.online)([]) == set()


@pytest.mark.django_db(transaction=True)
async def test_a_queryset_is_asked_for_as_it_is():
    ada, bob = [await User.objects.acreate(username=name) for name in ("ada", "bob")]
    await enter(ada)
    assert await presence.aonline(User.objects.all()) == {ada.pk}
    assert await sync_to_async(presence.online)(User.objects.order_by("pk")) == {ada.pk}
    assert await presence.aonline(User.objects.values_list("pk", flat=True)) == {ada.pk}
    assert await presence.aonline(User.objects.filter(pk=bob.pk)) == set()


@pytest.mark.parametrize("call", [presence.online, presence.aonline])
@pytest.mark.parametrize(
    ("who", "error", "said"),
    [
        (AnonymousUser(), TypeError, "is_online"),
        ("12", TypeError, "is_online"),
        (b"12", TypeError, "is_online"),
        (5, TypeError, "is_online"),
        (None, TypeError, "several users"),
        ([AnonymousUser()], ValueError, "no primary key"),
        ([None], TypeError, "not None"),
        (["x"], ValueError, "'x'"),
    ],
)
async def test_who_are_not_several_users(call, who, error, said):
    with pytest.raises(error, match=said):
        await (call(who) if call is presence.aonline else in_a_thread(call)(who))


async def test_when_a_user_was_seen_last():
    one = user()
    assert await presence.alast_seen(one) is None
    attendance = await enter(one)
    now = await presence.alast_seen(one)
    assert abs(now.timestamp() - process_clock.time()) < 60
    assert now.tzinfo is not None
    await leave(attendance)
    seen = await presence.alast_seen(one)
    assert now <= seen
    assert await in_a_thread(presence.last_seen)(one) == await presence.alast_seen(one) == seen


@pytest.mark.parametrize("call", [presence.is_online, presence.last_seen])
@pytest.mark.parametrize(("who", "error"), [(None, TypeError), (True, TypeError), ("x", ValueError)])
async def test_nobody_is_asked_for(call, who, error):
    with pytest.raises(error, match=call.__name__):
        await in_a_thread(call)(who)
    with pytest.raises(error, match=call.__name__):
        await getattr(presence, f"a{call.__name__}")(who)


@pytest.mark.parametrize(
    ("call", "remedy"),
    [
        (lambda: presence.is_online(1), r"ais_online\(\.\.\.\)"),
        (lambda: presence.online([1]), r"aonline\(\.\.\.\)"),
        (lambda: presence.last_seen(1), r"alast_seen\(\.\.\.\)"),
        (lambda: Room("r").present(), r"apresent\(\)"),
        (lambda: Room("r").count(), r"acount\(\)"),
    ],
)
async def test_an_event_loop_is_not_blocked(call, remedy):
    with pytest.raises(WebSocketStateError, match=remedy):
        call()


async def test_a_layer_that_keeps_nothing_of_it(monkeypatch):
    monkeypatch.setattr(type(get_broker()), "presence", None)
    with pytest.raises(PresenceUnavailable, match="keeps nothing of who is present"):
        await presence.ais_online(1)
    with pytest.raises(PresenceUnavailable, match="RedisChannelLayer"):
        await Room("r").apresent()
