"""disconnect(session=...): the sockets of one session, whoever its user is."""

import pytest
from django.contrib.sessions.backends.cache import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore

from django_fastws import adisconnect, disconnect
from django_fastws.limits import statistics
from django_fastws.testing import connect
from tests.users.closing import ADA, closed, is_open

pytestmark = [pytest.mark.usefixtures("routes"), pytest.mark.django_db(transaction=True)]


def session(key):
    made = SessionStore(key)
    made._session_cache = {}
    return made


@pytest.mark.parametrize("user", [ADA, None], ids=["logged in", "nobody"])
@pytest.mark.parametrize("as_key", [True, False], ids=["key", "session"])
async def test_the_sockets_of_a_session_are_closed_and_no_others(ends, user, as_key):
    one, other = session("key-of-one-session-0000000000000"), session("key-of-another-session-0000000000")
    async with (
        connect("/x", user=user, session=one) as first,
        connect("/x", user=user, session=one) as second,
        connect("/x", user=user, session=other) as elsewhere,
        connect("/x", user=user) as without,
    ):
        await adisconnect(session=one.session_key if as_key else one, code=4404, reason="bye")
        assert [await closed(first), await closed(second)] == [(4404, "bye")] * 2
        assert await is_open(elsewhere)
        assert await is_open(without)


async def test_the_session_may_connect_again(ends):
    one = session("key-of-one-session-0000000000000")
    await adisconnect(session=one)
    async with connect("/x", session=one) as ws:
        assert await is_open(ws)


async def test_who_has_only_a_session_is_no_user(ends):
    async with connect("/x", session=session("key-of-one-session-0000000000000")), connect("/x", user=ADA):
        assert statistics().users == 1


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({}, TypeError),
        ({"user": ADA, "session": "key"}, TypeError),
        ({"session": 5}, TypeError),
        ({"session": ""}, ValueError),
        ({"session": SessionStore()}, ValueError),
        ({"session": CookieStore("all that it holds")}, ValueError),
    ],
    ids=["nothing", "both", "number", "empty", "unsaved", "cookie"],
)
def test_what_names_no_session_is_an_error(arguments, error):
    with pytest.raises(error):
        disconnect(**arguments)
