"""Errors of the channel layer: those of the libraries underneath are translated, the programmer's are not."""

import asyncio

import pytest
import redis

from django_fastws import MessageTooBig, WebSocketConnectionError
from django_fastws.layer.errors import is_timeout, output_buffer_limit, translated


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("refused"),
        redis.ConnectionError("refused"),
        redis.ResponseError("refused"),
        output_buffer_limit("redis.example"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_a_library_raises_says_what_was_being_done_and_why_it_failed(error):
    with pytest.raises(WebSocketConnectionError, match="cannot broadcast") as raised:
        async with translated("broadcast"):
            raise error
    assert str(error) in str(raised.value)
    assert raised.value.__cause__ is error


async def test_what_breaks_inside_of_redis_py_is_translated_too():
    with pytest.raises(WebSocketConnectionError):
        async with translated("broadcast"):
            redis.Redis.from_url("http://redis.example")  # a ValueError


@pytest.mark.parametrize("error", [TypeError("no such argument"), MessageTooBig(2, 1), asyncio.CancelledError()])
async def test_what_is_no_trouble_of_the_layer_is_raised_as_it_is(error):
    with pytest.raises(type(error)) as raised:
        async with translated("broadcast"):
            raise error
    assert raised.value is error


@pytest.mark.parametrize("seconds", [0.01, None])
async def test_a_layer_that_does_not_answer_is_given_up_after_the_timeout(settings, seconds):
    settings.FASTWS_PUBLISH_TIMEOUT_SECONDS = 0.02
    with pytest.raises(WebSocketConnectionError, match=f"within {seconds or 0.02} seconds"):
        async with translated("broadcast", seconds):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (TimeoutError(), True),
        (redis.TimeoutError(), True),
        (ConnectionError(), False),
        (redis.ConnectionError(), False),
    ],
)
def test_a_timeout_is_pythons_or_redis_pys(error, is_one):
    assert is_timeout(error) is is_one
