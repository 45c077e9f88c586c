"""The background publisher: what receivers of signals hand over, how long they wait, and what is lost."""

import asyncio
import os
import signal
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import transaction

from django_fastws._core.control import CloseRequest
from django_fastws.users.background import BackgroundPublisher
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.brokers import fake_broker
from tests.users.closing import all_published, logged_in
from tests.users.sockets import INACTIVE, deactivate, ended, open_socket, still_answers, user_and_client

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


@pytest.mark.usefixtures("no_redis")
async def test_a_log_out_works_without_redis_and_the_log_says_what_was_lost(caplog):
    ada = await User.objects.acreate(username="ada")
    client = await logged_in(ada)
    started = time.monotonic()
    assert (await client.post("/logout/")).status_code == 200
    ada.is_active = False
    await ada.asave()
    await ada.adelete()
    assert time.monotonic() - started < 8
    while caplog.text.count("was lost") < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert not await User.objects.aexists()
    assert "Disconnecting auth.user:" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.fixture
def hanging(monkeypatch):
    """A layer that takes nothing for as long as the test lasts; what was tried to publish."""
    published, go_on = [], threading.Event()

    def publish(envelope):
        published.append(envelope)
        go_on.wait(30)

    monkeypatch.setattr("django_fastws.users.background.get_broker", fake_broker(publish=publish))
    monkeypatch.setattr("django_fastws.users.background._LONGEST_WAIT", 0.5)
    yield published
    go_on.set()
    all_published()


def in_one_transaction(people):
    with transaction.atomic():
        deactivate(people)


def delete(people):
    User.objects.filter(pk__in=[user.pk for user in people]).delete()


def delete_each(people):
    for user in people:
        user.delete()


def change_passwords(people):
    for user in people:
        user.password = "x"
        user.save()


def in_savepoints(people):
    with transaction.atomic():
        for user in people:
            with transaction.atomic():
                deactivate([user])


@pytest.mark.parametrize(
    "work",
    [deactivate, in_one_transaction, in_savepoints, delete, delete_each, change_passwords],
    ids=lambda work: work.__name__,
)
def test_however_many_users_one_request_waits_once(hanging, work):
    people = [User.objects.create(username=f"user{number}") for number in range(40)]
    began = time.monotonic()
    work([User.objects.get(pk=user.pk) for user in people])
    assert time.monotonic() - began < 15  # with a wait for each, it were twenty seconds
    while not hanging:
        time.sleep(0.001)


def test_one_transaction_is_one_message(monkeypatch):
    published = []
    monkeypatch.setattr(
        "django_fastws.users.background.get_broker",
        fake_broker(publish=published.append),
    )
    people = [User.objects.create(username=f"user{number}") for number in range(40)]
    in_one_transaction(people)
    all_published()
    assert len(published) == 1
    assert all(isinstance(value, str) for value in published[0].fields.values())
    delete(people)
    all_published()
    assert len(published) == 2


@pytest.mark.usefixtures("served", "never")
async def test_of_a_transaction_everybody_is_closed_and_nobody_of_a_savepoint_that_was_rolled_back():
    people = [await user_and_client(name) for name in ("ada", "bob", "carl")]

    def work():
        with transaction.atomic():
            deactivate([people[0][0]])
            with transaction.atomic():
                deactivate([people[1][0]])
                transaction.set_rollback(True)
            deactivate([people[2][0]])

    async with open_socket(people[0][1]) as one, open_socket(people[1][1]) as two, open_socket(people[2][1]) as three:
        await sync_to_async(work)()
        assert [await ended(one), await ended(three)] == [INACTIVE] * 2
        assert await still_answers(two)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
def test_a_forked_child_publishes_its_own_and_leaves_to_its_parent_what_that_has_pending(hanging, monkeypatch):
    monkeypatch.setattr("django_fastws.users.background._LONGEST_WAIT", 0)
    background = BackgroundPublisher()
    background.publish([CloseRequest("users.parent", 4401, "over")])
    while not hanging:
        time.sleep(0.001)
    background.publish([CloseRequest("users.pending", 4401, "over")])
    pid = os.fork()
    if not pid:
        signal.alarm(10)  # instead of waiting for a thread that it does not have
        try:
            done = []
            take = fake_broker(publish=lambda envelope: done.append(envelope.fields["user"]))
            monkeypatch.setattr("django_fastws.users.background.get_broker", take)
            background.publish([CloseRequest("users.child", 4401, "over")])
            while not done:
                time.sleep(0.001)
        finally:
            os._exit(int(done != ["users.child"]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(hanging) == 1
