"""What is logged and counted of denials and forced closes."""

import dataclasses
import logging

import pytest

from django_fastws.limits import Statistics, statistics
from django_fastws.testing import connect
from tests.limits.serving import ADA, application, outcome, serve
from tests.support.clock import Clock

# Consumers look after old database connections at every event, and other tests may have left some.
pytestmark = pytest.mark.usefixtures("routes", "db", "fresh")


# What is said


def lines(caplog, name="django_fastws.limits"):
    return [record.getMessage() for record in caplog.records if record.name == name]


async def test_a_kind_is_logged_at_most_once_a_second_and_says_how_many_there_were(at, caplog):
    clock = Clock()
    serve(max_connections=1)
    serve(path="/other", max_connections=1)
    async with connect("/x"), connect("/other"):
        for time in (10, 10.2, 10.9):
            at.time = time
            await outcome()
        assert len(lines(caplog)) == 1
        assert "'/x' from '192.0.2.1' with 429: max_connections=1 is reached" in lines(caplog)[0]
        at.time = 11.5
        await clock.advance(1)
        assert len(lines(caplog)) == 2  # nobody came, and still it is told
        assert lines(caplog)[1].endswith("(2 of this kind since it was last said)")
        at.time = 11.6
        await outcome("/other")
        at.time = 12.6
        await outcome("/other")
        assert len(lines(caplog)) == 3
        assert "'/other'" in lines(caplog)[2]
        assert lines(caplog)[2].endswith("(2 of this kind since it was last said)")
        await clock.advance(5)
        assert len(lines(caplog)) == 3
    assert statistics().denied == {"max_connections": 5}


async def test_another_kind_is_logged_at_once(at, caplog):
    serve(max_connections=1, handshake_rate="2/h")
    async with connect("/x"):
        await outcome()
        await outcome()
    assert [line.rpartition(": ")[2] for line in lines(caplog)] == [
        "max_connections=1 is reached",
        "handshake_rate='2/h' is exceeded",
    ]


async def test_a_flood_of_denials_is_a_handful_of_lines(caplog):
    serve(max_connections=1)
    async with connect("/x"):
        for _ in range(200):
            await outcome()
    assert statistics().denied == {"max_connections": 200}
    assert len(lines(caplog)) < 20


async def test_what_nobody_did_wrong_is_no_warning(caplog):
    caplog.set_level(logging.INFO, "django_fastws")
    serve(idle_timeout=0.01)
    serve(path="/rate", rate="1/h")
    async with connect("/x") as ws:
        await ws.wait_closed()
    async with connect("/rate") as ws:
        await ws.send("1")
        await ws.send("2")
        await ws.wait_closed()
    levels = {record.getMessage().rpartition(": ")[2]: record.levelname for record in caplog.records}
    assert levels["idle for too long"] == "INFO"
    assert levels["over the rate of 1/h messages"] == "WARNING"
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_client_cannot_write_into_the_log(caplog):
    serve(max_connections_per_address=1)
    host = "192.0.2.1\nCRITICAL: all is lost"
    async with connect("/x", application=application(host)):
        await outcome(host=host)
    assert "\n" not in lines(caplog)[0]


async def test_statistics_are_a_picture_that_does_not_change():
    serve(max_connections=2)
    async with connect("/x", user=ADA), connect("/x", user=ADA):
        before = statistics()
        assert (before.connections, before.users, before.denied, before.closed) == (2, 1, {}, {})
        await outcome()
    assert (before.connections, before.users, before.denied) == (2, 1, {})
    assert statistics() == Statistics(0, 0, {"max_connections": 1}, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.connections = 5
    with pytest.raises(TypeError):
        before.denied["max_connections"] = 5
