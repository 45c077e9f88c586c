"""A responder of the running loop, on each kind of layer."""

import pytest
import pytest_asyncio

from django_fastws.processes import current_responder, topics

KINDS = ["here", *(pytest.param(kind, marks=pytest.mark.redis) for kind in ("ours", "cluster"))]


@pytest.fixture(params=KINDS)
def layer(request, settings):
    """The layer: of this process, or ours, on one Redis or a cluster."""
    if request.param == "here":
        settings.CHANNEL_LAYERS = {}
    else:
        config = request.getfixturevalue("redis_layer")
        if request.param == "cluster":
            prefix, cluster = config["CONFIG"]["prefix"], request.getfixturevalue("redis_cluster")
            config = {**config, "CONFIG": {"cluster": cluster.url, "prefix": prefix}}
        settings.CHANNEL_LAYERS = {"default": config}
    return request.param


@pytest_asyncio.fixture
async def responder(layer):
    """A responder that answers until the test ends."""
    responder = current_responder()
    responder.start("server")
    await responder.wait_until_subscribed()
    yield responder
    responder.stop()
    await responder.settled()


@pytest.fixture
def topic():
    """Declare a topic for one test."""
    declared = []

    def declare(name, function):
        topics[name] = function
        declared.append(name)

    yield declare
    for name in declared:
        del topics[name]
