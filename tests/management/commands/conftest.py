"""Fixtures of the tests of the commands: those of outbound routes."""

from tests.clients.conftest import (  # noqa: F401 (fixtures and a hook)
    _no_long_waits,
    app,
    library,
    log,
    peer,
    project,
    pytest_generate_tests,
    raw_peer,
)
