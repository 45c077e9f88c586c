"""Questions to all processes: who answers, who is missing, and when it is over."""

import asyncio
import contextlib
import threading

import pytest

from django_fastws._core.questions import GROUP
from django_fastws.exceptions import WebSocketConnectionError
from django_fastws.layer import get_broker
from django_fastws.processes import ask_processes, current_responder


async def test_it_is_over_when_all_have_answered(responder):
    survey = await ask_processes("process", seconds=60)
    assert list(survey.answers) == [responder.name]
    assert (survey.expected, survey.is_partial) == (1, False)


async def test_nobody_is_waited_for_where_there_is_nobody(layer):
    survey = await ask_processes("process", seconds=60)
    assert (survey.answers, survey.expected, survey.is_partial) == ({}, 0, False)


@contextlib.asynccontextmanager
async def elsewhere(subscribed):
    """Another event loop, which is as good as another process, in an async context manager."""
    started, stopped = threading.Event(), threading.Event()

    async def serve():
        async with subscribed():
            started.set()
            await asyncio.to_thread(stopped.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        await asyncio.to_thread(started.wait)
        yield
    finally:
        stopped.set()
        await asyncio.to_thread(thread.join)


@contextlib.asynccontextmanager
async def silent():
    client = get_broker().client(lambda envelope: None)
    await client.subscribe(GROUP)
    yield
    await client.unsubscribe(GROUP)
    await client.close()


@contextlib.asynccontextmanager
async def answering():
    other = current_responder()
    other.start("clients")
    await other.wait_until_subscribed()
    yield
    other.stop()
    await other.settled()


async def test_one_that_does_not_answer_is_known_to_be_missing(responder):
    async with elsewhere(silent):
        survey = await ask_processes("process", seconds=1)
    assert (len(survey.answers), survey.expected, survey.missing, survey.is_partial) == (1, 2, 1, True)


async def test_processes_answer_each_for_itself(responder):
    async with elsewhere(answering):
        survey = await ask_processes("process", seconds=30)
    assert {answer.data["kind"] for answer in survey.answers.values()} == {"server", "clients"}
    assert not survey.is_partial


async def test_an_event_loop_that_was_closed_without_leaving_is_not_waited_for(settings):
    settings.CHANNEL_LAYERS = {}

    async def subscribed():
        await get_broker().client(lambda envelope: None).subscribe(GROUP)

    before = await get_broker().acount_subscribers(GROUP)
    await asyncio.to_thread(asyncio.run, subscribed())
    assert await get_broker().acount_subscribers(GROUP) == before


@pytest.mark.redis
@pytest.mark.parametrize("name", ["core", "pubsub"])
async def test_a_layer_of_others_does_not_tell_how_many_there_are(name, redis_server, settings):
    from tests.conftest import layer_config

    settings.CHANNEL_LAYERS = {"default": layer_config(name, redis_server, f"survey-{name}")}
    responder = current_responder()
    responder.start()
    await responder.wait_until_subscribed()
    survey = await ask_processes("process", seconds=2)
    responder.stop()
    await responder.settled()
    assert (list(survey.answers), survey.expected, survey.is_partial) == ([responder.name], None, False)


@pytest.mark.redis
async def test_a_layer_that_is_away_is_an_error_in_time(own_redis, settings):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": {"hosts": [own_redis.url]}}
    }
    own_redis.stop()
    with pytest.raises(WebSocketConnectionError):
        await ask_processes("process", seconds=0.5)


@pytest.mark.parametrize("seconds", [0, -1, 61])
async def test_a_deadline_has_bounds(seconds):
    with pytest.raises(ValueError, match="above 0"):
        await ask_processes("process", seconds=seconds)
