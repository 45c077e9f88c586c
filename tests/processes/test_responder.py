"""What a process answers, and what it does not."""

import asyncio
import logging

from django_fastws._core.envelope import Envelope
from django_fastws._core.questions import GROUP
from django_fastws.layer import get_broker
from django_fastws.processes import ask_processes, current_responder


async def test_an_answer_may_take_its_time(responder, topic):
    async def late(responder, arguments):
        await asyncio.sleep(0)
        return {"name": responder.name, "asked": arguments}

    topic("late", late)
    survey = await ask_processes("late", [1], seconds=10)
    assert [answer.data for answer in survey.answers.values()] == [{"name": responder.name, "asked": [1]}]


async def test_an_unknown_topic_is_an_error(responder):
    (answer,) = (await ask_processes("weather", seconds=10)).answers.values()
    assert "knows nothing" in answer.error


async def test_a_topic_that_fails_is_an_error_and_logged(responder, topic, caplog):
    topic("broken", lambda responder, arguments: arguments["page"])
    (answer,) = (await ask_processes("broken", {}, seconds=10)).answers.values()
    assert answer.error.startswith("KeyError")
    assert caplog.text.count("could not be answered") == 1


async def test_an_answer_that_is_too_long_is_an_error(responder, topic):
    topic("long", lambda responder, arguments: "x" * 2_000_000)
    (answer,) = (await ask_processes("long", seconds=10)).answers.values()
    assert "ask for less" in answer.error


async def test_who_works_when_the_deadline_is_over_is_cancelled(responder, topic):
    cancelled = asyncio.Event()

    async def endless(responder, arguments):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    topic("endless", endless)
    survey = await ask_processes("endless", seconds=0.2)
    assert survey.missing == 1
    await asyncio.wait_for(cancelled.wait(), 10)


async def test_what_makes_no_sense_is_said_once_and_others_are_answered(responder, caplog):
    for _ in range(3):
        await get_broker().apublish(Envelope.control(GROUP, {"do": "ask", "question": "everything"}))
    assert len((await ask_processes("process", seconds=10)).answers) == 1
    said = [record for record in caplog.records if "make no sense" in record.message]
    assert [record.levelno for record in said] == [logging.WARNING]


async def test_it_answers_until_it_was_stopped_as_often_as_started(layer):
    responder = current_responder()
    responder.start()
    responder.start("clients", lambda: True)
    await responder.wait_until_subscribed()
    responder.stop()
    (answer,) = (await ask_processes("process", seconds=10)).answers.values()
    assert (answer.data["kind"], answer.data["draining"]) == ("clients", True)
    responder.stop()
    responder.stop()
    await responder.settled()
    assert (await ask_processes("process", seconds=10)).answers == {}
