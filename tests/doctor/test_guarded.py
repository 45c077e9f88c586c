"""Checks end in time, and never with an exception."""

import asyncio
import threading

import pytest

from django_fastws.doctor.guarded import in_thread, results_of, sentence
from django_fastws.doctor.result import ok
from django_fastws.exceptions import WebSocketConnectionError


async def one_of(work, seconds=30):
    (result,) = await results_of("thing", seconds, work, "wait")
    return result


async def test_results_are_passed_on():
    async def work():
        return [ok("thing", "fine")]

    assert await one_of(work) == ok("thing", "fine")


async def test_what_takes_too_long_has_failed():
    result = await one_of(asyncio.Event().wait, 0.01)
    assert (result.status, result.hint) == ("failed", "wait")


@pytest.mark.parametrize(
    ("error", "word"), [(WebSocketConnectionError("cannot reach"), "Cannot reach"), (KeyError("page"), "KeyError")]
)
async def test_what_raises_has_failed(error, word):
    async def work():
        raise error

    result = await one_of(work)
    assert result.status == "failed"
    assert word in result.detail


async def test_sync_code_runs_elsewhere_and_may_never_end():
    ended = threading.Event()
    assert await in_thread(threading.get_ident) != threading.get_ident()
    result = await one_of(lambda: in_thread(ended.wait), 0.05)
    assert result.status == "failed"
    ended.set()


async def test_sync_code_may_raise():
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 / 0)


@pytest.mark.parametrize(
    ("error", "text"), [("it is away", "It is away."), ("Is it?", "Is it?"), (ValueError(), "ValueError.")], ids=str
)
def test_an_error_is_a_sentence(error, text):
    assert sentence(error) == text
