"""The probe of the channel layer: what is wrong with it, in a few words, as soon as that is known."""

import asyncio
import logging

import pytest

from django_fastws import WebSocketConnectionError
from django_fastws.layer import LayerStatus, probe


class Layer:
    """A layer that answers, or does not, and of which it is known, or not, that it is lost."""

    def __init__(self):
        self.fails = 0
        self.status = LayerStatus(is_reachable=True)

    async def check(self, seconds):
        await asyncio.sleep(0)
        if self.fails:
            self.fails -= 1
            raise WebSocketConnectionError("cannot check the channel layer: refused")


@pytest.fixture
def layer(monkeypatch):
    layer = Layer()
    monkeypatch.setattr(probe, "check_layer", layer.check)
    monkeypatch.setattr(probe, "layer_status", lambda: layer.status)
    return layer


async def test_a_layer_that_answers_is_no_problem(layer, caplog):
    assert await probe.layer_problem() is None
    await probe.announce_layer()
    assert caplog.records == []


async def test_the_reason_is_what_the_layer_knows_or_what_the_check_says(layer):
    layer.fails = 2
    assert await probe.layer_problem() == "cannot check the channel layer: refused"
    layer.status = LayerStatus(is_reachable=False, error="lost")
    assert await probe.layer_problem() == "lost"


@pytest.mark.parametrize(("error", "said"), [("refused", "refused"), ("", "it was lost")])
async def test_a_layer_that_is_known_to_be_lost_is_told_before_the_probe_ends(layer, error, said):
    asked = asyncio.get_running_loop().create_future()
    layer.status = LayerStatus(is_reachable=False, error=error)
    assert await probe.first_problem(asked) == said
    assert not asked.done()


async def test_a_layer_that_cannot_tell_its_state_is_asked(monkeypatch):
    def wrong():
        raise ImportError("no such layer")

    monkeypatch.setattr(probe, "layer_status", wrong)

    async def asked():
        await asyncio.sleep(0)
        return "no such layer"

    assert await probe.first_problem(asyncio.ensure_future(asked())) == "no such layer"


@pytest.mark.parametrize(("tells_by_itself", "levels"), [(False, ["ERROR", "WARNING"]), (True, ["ERROR"])])
async def test_it_is_said_once_and_again_when_the_layer_is_back_unless_the_layer_says_so(
    layer, caplog, tells_by_itself, levels
):
    caplog.set_level(logging.INFO, "django_fastws.layer")
    layer.fails = 1
    layer.status = LayerStatus(is_reachable=not tells_by_itself, error="refused" if tells_by_itself else "")
    await probe.announce_layer()
    assert [record.levelname for record in caplog.records] == levels
    assert "CHANNEL_LAYERS" in caplog.records[0].getMessage()
    assert "refused" in caplog.records[0].getMessage()
