"""Timeouts of those who wait for Redis: of an answer, and of a Redis that is lost."""

import asyncio

import pytest

from django_fastws import WebSocketConnectionError
from django_fastws.layer.redis.deadlines import Deadlines


class Server:
    """A server that is lost when the test says so."""

    is_lost = False
    error = ConnectionRefusedError("refused")


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def waiting(settings, server):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 60
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 60
    return Deadlines("broadcast", server)


async def test_one_that_is_not_answered_is_told_what_it_did_and_for_how_long(waiting, settings):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.01
    with pytest.raises(WebSocketConnectionError, match=r"broadcast: .* within 0\.01 seconds"):
        await asyncio.wait_for(waiting.add(), 30)


async def test_one_that_is_answered_in_time_has_its_answer(waiting, settings):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.01
    future, unanswered = waiting.add(), waiting.add()
    future.set_result(7)
    with pytest.raises(WebSocketConnectionError):
        await asyncio.wait_for(unanswered, 30)
    assert await future == 7


async def test_who_waits_when_the_server_is_lost_waits_no_longer_than_for_a_lost_one(waiting, settings, server):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0
    futures = [waiting.add(), waiting.add()]
    server.is_lost = True
    waiting.check()
    for future in futures:
        assert "refused" in str(future.exception())
    with pytest.raises(WebSocketConnectionError):  # at once
        waiting.add().result()


async def test_who_waits_when_the_server_is_back_waits_for_its_answer(waiting, settings, server):
    server.is_lost = True
    future = waiting.add()
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0
    waiting.check()
    assert not future.done()
    server.is_lost = False
    waiting.check()
    assert "within" in str(future.exception())


async def test_all_that_wait_fail_together_but_those_that_are_done(waiting):
    done, given_up, future = waiting.add(), waiting.add(), waiting.add()
    done.set_result(1)
    given_up.cancel()
    waiting.fail(ConnectionError("closed"))
    assert done.result() == 1
    assert given_up.cancelled()
    assert str(future.exception()) == "closed"


async def test_who_waits_for_another_server_from_now_on_is_watched_over_there(settings, server):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.05
    one, other = Deadlines("broadcast", server), Deadlines("broadcast", Server())
    moved, kept = one.add(), one.add()
    one.hand_over([moved], other)
    one.fail(WebSocketConnectionError("closed"))
    assert not moved.done()
    with pytest.raises(WebSocketConnectionError, match="closed"):
        await kept
    with pytest.raises(WebSocketConnectionError, match=r"did not answer within 0\.05 seconds"):
        await moved
