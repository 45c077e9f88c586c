"""Verification of identities: what it costs, and a backend that fails for one of them."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_fastws.users.identity import Identity
from django_fastws.users.verification import verify
from tests.users.sockets import INACTIVE, ended, open_socket, still_answers, user_and_client
from tests.users.stored import log_in, store

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


class Faulty(ModelBackend):
    """A backend of one's own that fails for some."""

    fails = False

    def user_can_authenticate(self, user):
        if self.fails and user.username == "bob":
            raise ZeroDivisionError("on purpose")
        return super().user_can_authenticate(user)


@pytest.mark.usefixtures("served", "often")
async def test_a_backend_that_fails_for_one_user_keeps_no_other_from_being_looked_at(settings, monkeypatch, caplog):
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Faulty"]
    ada, client = await user_and_client()
    _, other = await user_and_client("bob")
    async with open_socket(other) as bobs, open_socket(client) as ws:
        monkeypatch.setattr(Faulty, "fails", True)
        await User.objects.filter(pk=ada.pk).aupdate(is_active=False)
        assert await ended(ws) == INACTIVE
        assert await still_answers(bobs)
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.usefixtures("served", "never")
def test_a_thousand_sockets_cost_two_queries():
    session_keys, all_of_them = [], []
    for number in range(30):
        ada = User.objects.create(username=f"user{number}", password="x")
        session_keys.append(log_in(ada))
        session = store(session_keys[-1])
        session.keys()
        all_of_them += [Identity.of({"user": ada, "session": session}) for _ in range(40)]
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert verify(all_of_them) == {}
        assert len(queries) == 2
    Session.objects.filter(pk=session_keys[3]).delete()
    User.objects.filter(username="user4").update(is_active=False)
    assert len(verify(all_of_them)) == 80


def test_a_thousand_users_cost_one_query():
    User.objects.bulk_create(User(username=f"user{number}") for number in range(1000))
    identities = [Identity.of({"user": user}) for user in User.objects.all()]
    with CaptureQueriesContext(connection) as queries:
        assert verify(identities) == {}
    assert len(queries) == 1
