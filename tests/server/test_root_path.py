"""Under which path the application is served: its server is told so by its options, and by no client."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator

from django_fastws.asgi import get_asgi_application
from django_fastws.transports import served_scope
from tests.server.client import fetch
from tests.site.client import raw_request
from tests.support.processes import ASGIServer


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "runserver", "daphne", "uvicorn"])
async def test_a_client_opens_nothing_by_saying_where_it_is_mounted(site: Any, kind: str) -> None:
    server: ASGIServer = site(kind)
    for name in ("Daphne-Root-Path", "daphne_root_path", "X-Script-Name", "SCRIPT-NAME"):
        assert (await raw_request(server, b"/x/ws/echo", [(name.encode(), b"/x")]))[0] == 404
        assert (await raw_request(server, b"/ws/echo", [(name.encode(), b"//evil.example")]))[0] == 101
        assert (await fetch(server, "/x/hello/", headers={name: "/x"})).status == 404
        assert (await fetch(server, "/hello/", headers={name: "//evil.example"})).status == 200


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "runserver", "daphne", "uvicorn"])
async def test_a_host_in_front_of_the_path_is_part_of_the_path(site: Any, kind: str) -> None:
    for target in (b"//x/ws/echo", b"//127.0.0.1/ws/echo", b"//x;y/ws/echo", b"//ws/echo", b"///ws/echo"):
        assert (await raw_request(site(kind), target, []))[0] == 404, target


def handle_reply(protocol: Any, message: Any) -> None: ...


@pytest.mark.parametrize(
    ("told", "claimed", "root_path"), [("", "/x", ""), ("/app", "//evil", "/app"), ("/app", "/app", "/app")]
)
def test_daphnes_option_counts_and_not_its_header(told, claimed, root_path):
    protocol = SimpleNamespace(server=SimpleNamespace(root_path=told))
    send: Any = functools.partial(handle_reply, protocol)
    assert served_scope({"type": "http", "root_path": claimed}, send)["root_path"] == root_path


async def send_of_another_server(message: Any) -> None: ...


def test_what_another_server_says_is_left_as_it_is():
    scope = {"type": "http", "root_path": "/app"}
    assert served_scope(scope, send_of_another_server) is scope


async def test_a_header_with_underscores_is_not_taken_for_one_with_hyphens(monkeypatch):
    monkeypatch.setattr("django.setup", lambda **kwargs: None)
    seen = []

    async def django(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["headers"])

    monkeypatch.setattr("django_fastws.asgi.get_django_application", lambda: django)
    headers = [(b"host", b"x"), (b"x_forwarded_proto", b"https"), (b"x-forwarded-for", b"1")]
    application = ApplicationCommunicator(get_asgi_application(), {"type": "http", "headers": headers})
    await application.wait()
    assert seen == [[(b"host", b"x"), (b"x-forwarded-for", b"1")]]
