"""Fixtures of the suite: each test runs with every implementation that can do what it needs.

``pytest.mark.broker("has_history")`` says what that is; ``"is_variant"`` adds those that have other options only,
and ``"not has_history"`` takes those that have none.
A test that needs ``has_outages`` has servers of its own, which it may break; all others share them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws.layer import Broker, get_broker
from django_fastws.layer.redis import blocking, cluster_nodes, shard
from tests.contract.implementations import IMPLEMENTATIONS, Implementation
from tests.site.client import token


def needs(definition: Any) -> set[str]:
    """What a test needs of an implementation."""
    return {name for mark in definition.iter_markers("broker") for name in mark.args}


def fits(kind: type[Implementation], want: str) -> bool:
    name = want.removeprefix("not ")
    return bool(getattr(kind, name)) is (name == want)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        wanted = needs(metafunc.definition)
        with_variants, wanted = "is_variant" in wanted, wanted - {"is_variant"}
        kinds = [
            pytest.param(name, marks=[getattr(pytest.mark, need) for need in kind.needs])
            for name, kind in IMPLEMENTATIONS.items()
            if all(fits(kind, want) for want in wanted) and (with_variants or not kind.is_variant)
        ]
        metafunc.parametrize("kind", kinds)


@pytest.fixture(scope="session")
def running() -> Iterator[Callable[[str], Implementation]]:
    """Implementations that last for the whole run, by their names."""
    made: dict[str, Implementation] = {}
    with ExitStack() as stack:

        def get(name: str) -> Implementation:
            if name not in made:
                made[name] = stack.enter_context(IMPLEMENTATIONS[name]())
            return made[name]

        yield get


@pytest.fixture
def implementation(
    request: pytest.FixtureRequest, kind: str, running: Callable[[str], Implementation]
) -> Iterator[Implementation]:
    if "has_outages" in needs(request.node):
        with IMPLEMENTATIONS[kind]() as made:
            yield made
    else:
        yield running(kind)


@pytest.fixture
async def broker(
    implementation: Implementation, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Broker]:
    """The broker of an implementation, with names of the test's own."""
    monkeypatch.setattr(shard, "SETTLING_SECONDS", 0.05)  # for there is no other process
    monkeypatch.setattr(blocking, "SETTLING_SECONDS", 0.05)
    monkeypatch.setattr(cluster_nodes, "SETTLING_SECONDS", 0.05)
    settings.CHANNEL_LAYERS = implementation.layers(f"t{token()}")
    found = get_broker()
    assert type(found) is implementation.broker
    yield found
    layer = get_channel_layer()
    if hasattr(layer, "blocking"):
        layer.blocking.close()
    if layer is not None and not hasattr(layer, "close_pools"):  # that would close those of other loops
        await layer.flush()


@pytest.fixture
def group() -> str:
    return token()
