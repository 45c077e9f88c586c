"""The Origin of a handshake: let in or denied by FASTWS_ALLOWED_ORIGINS, ALLOWED_HOSTS or the host asked for."""

import logging

import pytest
from django.test import override_settings

from tests.support.handshakes import echo, serve, status_of

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture(autouse=True)
def _set_up_once(monkeypatch):
    """Django is set up. Doing it again, as get_asgi_application() does, would take the root logger from caplog."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)


# Origins


@pytest.mark.parametrize(
    ("hosts", "debug", "origins", "origin", "status"),
    [
        (["testserver"], False, None, None, 101),
        (["testserver"], False, None, "http://testserver", 101),
        (["testserver"], False, None, "https://testserver", 101),
        (["testserver"], False, None, "https://testserver:8443", 101),
        (["testserver"], False, None, "https://evil.example", 403),
        (["testserver"], False, None, "https://testserver.evil.example", 403),
        ([".example.com"], False, None, "https://www.example.com", 101),
        ([".example.com"], False, None, "https://example.com", 101),
        ([".example.com"], False, None, "https://testserver", 403),
        ([], False, None, "http://localhost", 403),
        ([], True, None, "http://localhost:3000", 101),
        ([], True, None, "http://app.localhost", 101),
        ([], True, None, "http://127.0.0.1:8000", 101),
        ([], True, None, "http://[::1]:8000", 101),
        ([], True, None, "http://evil.example", 403),
        (["*"], False, None, "http://testserver", 101),
        (["*"], False, None, "https://testserver", 101),
        (["*"], False, None, "http://evil.example", 403),
        (["*"], False, None, "http://testserver:8000", 403),
        (["testserver"], False, ["https://app.example"], "https://app.example", 101),
        (["testserver"], False, ["https://app.example"], "http://app.example", 403),
        (["testserver"], False, ["https://app.example"], "http://testserver", 403),
        (["testserver"], False, ["https://app.example"], None, 101),
        (["testserver"], False, [], "http://testserver", 403),
        (["testserver"], False, ["*"], "https://evil.example", 101),
        (["testserver"], False, ["*"], "null", 101),
        (["testserver"], False, ["null"], "null", 101),
        (["testserver"], False, None, "null", 403),
        (["testserver"], False, (".example.com",), "https://a.example.com", 101),
        (["testserver"], False, ["chrome-extension://abc"], "chrome-extension://abc", 101),
    ],
)
async def test_which_origins_are_let_in(hosts, debug, origins, origin, status):
    serve(echo)
    with override_settings(ALLOWED_HOSTS=hosts, DEBUG=debug, FASTWS_ALLOWED_ORIGINS=origins):
        assert await status_of(origin=origin) == status


@pytest.mark.parametrize(
    ("is_used", "origin", "status"),
    [
        (True, "https://example.com", 101),
        (True, "https://inner.example", 403),
        (False, "https://example.com", 403),
        (False, "https://inner.example", 101),
    ],
)
async def test_with_every_host_allowed_the_origin_is_the_host_that_the_proxy_was_asked_for(is_used, origin, status):
    serve(echo)
    headers = {"Host": "inner.example", "X-Forwarded-Host": "example.com"}
    with override_settings(ALLOWED_HOSTS=["*"], USE_X_FORWARDED_HOST=is_used):
        assert await status_of(headers=headers, origin=origin) == status


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://",
        "http://[",
        "http://[::1",
        "http://testserver:99999",
        "http://testserver:x",
        "\xe9",
        "a b",
    ],
)
async def test_a_malformed_origin_is_a_denial_and_no_traceback(origin, caplog):
    serve(echo)
    assert await status_of(headers=[("origin", origin)]) == 403
    assert all(record.exc_info is None for record in caplog.records)


async def test_two_origins_are_denied():
    serve(echo)
    headers = [("origin", "http://testserver"), ("origin", "http://testserver")]
    assert await status_of(headers=headers) == 403


@pytest.mark.parametrize(
    ("origins", "setting"), [(None, "ALLOWED_HOSTS"), (["https://app.example"], "FASTWS_ALLOWED_ORIGINS")]
)
async def test_a_denied_origin_is_logged_with_the_setting_that_decides(origins, setting, caplog):
    serve(echo)
    with override_settings(FASTWS_ALLOWED_ORIGINS=origins), caplog.at_level(logging.WARNING):
        await status_of(origin="https://evil.example")
    (record,) = [record for record in caplog.records if record.name == "django_fastws.handshake"]
    assert "https://evil.example" in record.getMessage()
    assert "'/x'" in record.getMessage()
    assert setting in record.getMessage()


async def test_a_long_origin_is_not_logged_whole(caplog):
    serve(echo)
    await status_of(origin="https://" + "x" * 5000)
    assert all(len(record.getMessage()) < 1000 for record in caplog.records)


async def test_a_denied_origin_does_not_reach_the_handler():
    ran = []

    async def handler(ws):
        ran.append(ws)

    serve(handler)
    assert await status_of(origin="https://evil.example") == 403
    assert ran == []
