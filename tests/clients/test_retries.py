"""Which HTTP statuses of a handshake may pass."""

from __future__ import annotations

import pytest

from django_fastws._core.retries import status_may_pass


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 504, 520, 599])
def test_it_may_pass(status):
    assert status_may_pass(status)


@pytest.mark.parametrize("status", [200, 204, 301, 304, 400, 401, 402, 403, 404, 405, 410, 418, 426, 451, 600, 999])
def test_it_cannot_pass(status):
    assert not status_may_pass(status)
