"""Choice of the library that connects a route."""

from __future__ import annotations

import pytest
from django.core.checks import Error
from django.core.management import CommandError, call_command

from django_fastws.checks import check_outbound_routes
from django_fastws.clients import library as library_module
from django_fastws.clients.parser import ParsingConnection
from django_fastws.clients.picows_connection import PicowsConnection
from tests.clients.handlers import once

from .conftest import run

LIBRARIES = ("picows",)


# The choice


@pytest.mark.parametrize(
    ("wish", "tls", "connection"),
    [
        ("websockets", False, ParsingConnection),
        ("websockets", True, ParsingConnection),
        ("picows", False, PicowsConnection),
        ("picows", True, PicowsConnection),
        ("nonsense", True, ParsingConnection),  # a check tells of it
    ],
)
async def test_the_library_that_connects(app, peer, certificates, settings, seen, look, wish, tls, connection):
    settings.FASTWS_CLIENT_LIBRARY = wish
    server = await peer(ssl=certificates.server() if tls else None)
    app.ws(server.url, ssl=certificates.client() if tls else None)(look)
    assert await run(app)
    assert seen == [connection]


async def test_websockets_connects_unless_picows_is_wished_for(app, peer, settings, seen, look):
    del settings.FASTWS_CLIENT_LIBRARY
    server = await peer()
    app.ws(server.url)(look)
    assert await run(app)
    assert seen == [ParsingConnection]


async def test_where_nothing_can_be_read_past_websockets_picows_does_not_connect(app, peer, monkeypatch, seen, look):
    monkeypatch.setattr("django_fastws.clients.connecting.is_possible", lambda: False)
    server = await peer()
    app.ws(server.url)(look)
    assert await run(app)
    assert PicowsConnection not in seen


def test_e033_a_wish_for_picows_where_it_is_not_installed(app, settings, monkeypatch):
    monkeypatch.setattr(library_module, "picows", None)
    monkeypatch.setattr(library_module, "_missing", "No module named 'picows'")
    settings.FASTWS_CLIENT_LIBRARY = "picows"
    (error,) = check_outbound_routes()
    assert (type(error), error.id) == (Error, "fastws.E033")
    assert error.msg == "FASTWS_CLIENT_LIBRARY is 'picows', which cannot be imported: No module named 'picows'."
    assert "django-fastws[picows]" in error.hint


@pytest.mark.parametrize("wish", ["websockets", "picows"])
def test_e033_a_wish_for_picows_and_a_route_that_it_cannot_connect(app, settings, wish):
    settings.FASTWS_CLIENT_LIBRARY = wish
    app.ws("wss://127.0.0.1/feed", proxy="http://127.0.0.1:3128")(once)
    app.ws("wss://127.0.0.1/feed", name="direct")(once)
    app.get("http://127.0.0.1/")(once)
    errors = check_outbound_routes()
    assert [error.id for error in errors] == (["fastws.E033"] if wish == "picows" else [])
    if errors:
        assert f"{once.__module__}.once" in errors[0].msg
        assert "which connects through no proxy" in errors[0].msg


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_command_does_not_start_with_a_wish_that_cannot_be_met(app, settings, monkeypatch, is_installed):
    settings.FASTWS_CLIENT_LIBRARY = "picows"
    app.ws("wss://127.0.0.1/feed", proxy="http://127.0.0.1:3128")(once)
    if not is_installed:
        monkeypatch.setattr(library_module, "picows", None)
    with pytest.raises(CommandError, match="FASTWS_CLIENT_LIBRARY is 'picows', "):
        call_command("runws_clients", skip_checks=True)
