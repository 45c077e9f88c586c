"""Background tasks, cancellation of others, and waiting for one thing or another."""

import asyncio
import gc
import logging

import pytest

from django_fastws.tasks import BackgroundTasks, cancel_and_wait, is_being_cancelled, wait_unless

logger = logging.getLogger("django_fastws.tests")


async def test_a_background_task_is_kept_until_it_ends():
    tasks, release, ended = BackgroundTasks(logger), asyncio.Event(), []

    async def work():
        await release.wait()
        ended.append(True)

    tasks.start(work())
    await asyncio.sleep(0)
    gc.collect()
    assert len(tasks) == 1
    release.set()
    await tasks.wait()
    assert ended == [True]
    assert not tasks


async def test_waiting_includes_tasks_that_are_started_meanwhile():
    tasks, ended = BackgroundTasks(logger), []

    async def second():
        await asyncio.sleep(0)
        ended.append("second")

    async def first():
        tasks.start(second())

    tasks.start(first())
    await tasks.wait()
    assert ended == ["second"]


async def test_the_error_of_a_background_task_is_logged(caplog):
    tasks = BackgroundTasks(logger)

    async def fails():
        raise ValueError("broken")

    tasks.start(fails())
    await tasks.wait()
    await asyncio.sleep(0)
    assert [(record.name, record.exc_info[1].args) for record in caplog.records] == [(logger.name, ("broken",))]
    assert "fails()" in caplog.text


async def test_a_cancelled_background_task_is_no_error(caplog):
    tasks = BackgroundTasks(logger)
    await cancel_and_wait(tasks.start(asyncio.sleep(60)))
    await asyncio.sleep(0)
    assert not tasks
    assert not caplog.records


async def test_what_is_shielded_goes_on_without_its_caller_and_its_error_is_logged_then(caplog):
    tasks, go = BackgroundTasks(logging.getLogger("some")), asyncio.Event()

    async def fails():
        await go.wait()
        raise ValueError("on purpose")

    async def returns():
        return 5

    assert await tasks.shielded(returns()) == 5
    caller = asyncio.create_task(tasks.shielded(fails()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert len(tasks) == 1
    go.set()
    await tasks.wait()
    await asyncio.sleep(0)
    (record,) = caplog.records
    assert str(record.exc_info[1]) == "on purpose"
    caplog.clear()
    with pytest.raises(ValueError, match="on purpose"):
        await tasks.shielded(fails())
    assert not caplog.records


def test_a_background_task_without_a_loop_raises_and_warns_of_nothing():
    with pytest.raises(RuntimeError):  # pytest makes an error of the warning that it was never awaited
        BackgroundTasks(logger).start(asyncio.sleep(0))
    gc.collect()


def test_a_background_task_can_be_started_in_a_loop_that_does_not_run_yet():
    tasks = BackgroundTasks(logger)
    loop = asyncio.new_event_loop()
    try:
        task = tasks.start(asyncio.sleep(0, "done"), loop=loop)
        assert loop.run_until_complete(task) == "done"
    finally:
        loop.close()


async def test_the_cancellation_of_something_awaited_is_not_that_of_the_task():
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    try:
        await future
    except asyncio.CancelledError:
        assert not is_being_cancelled()


async def test_the_cancellation_of_the_task_is_its_own():
    found = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            found.append(is_being_cancelled())
            raise

    task = asyncio.ensure_future(work())
    await asyncio.sleep(0)
    await cancel_and_wait(task)
    assert found == [True]
    assert task.cancelled()


async def test_cancelling_waits_for_the_end_and_hides_what_is_raised_then():
    ended = []

    async def stubborn():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            ended.append(True)
            raise ValueError("behind its cancellation")

    task = asyncio.ensure_future(stubborn())
    await asyncio.sleep(0)
    await cancel_and_wait(task)
    assert ended == [True]


@pytest.mark.parametrize("is_set", [True, False])
async def test_waiting_ends_with_the_event_or_the_future(is_set):
    event, future = asyncio.Event(), asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(wait_unless(event, future))
    await asyncio.sleep(0)
    assert not waiting.done()
    if is_set:
        event.set()
    else:
        future.set_result(None)
    await asyncio.wait_for(waiting, 30)
    assert future.done() is not is_set
    assert asyncio.all_tasks() == {asyncio.current_task()}
