"""Route of live sockets: there is one if there are live rooms, and it is an ordinary one."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings
from django.urls import NoReverseMatch

from django_fastws import FastWS
from django_fastws.asgi import get_asgi_application
from django_fastws.routing import reverse_ws
from django_fastws.testing import HandshakeDenied, connect
from tests.live.client import Client, client, declare


def test_the_route_is_found_by_its_name_and_is_in_the_list(capsys):
    declare()
    assert reverse_ws("fastws-live") == "/ws/live"
    call_command("ws_routes")
    assert "/ws/live" in capsys.readouterr().out


def test_there_is_no_route_without_a_live_room():
    FastWS()
    with pytest.raises(NoReverseMatch):
        reverse_ws("fastws-live")


def test_the_path_is_a_setting_and_none_serves_none():
    declare()
    with override_settings(FASTWS_LIVE_PATH="/live"):
        assert reverse_ws("fastws-live") == "/live"
    with override_settings(FASTWS_LIVE_PATH=None), pytest.raises(NoReverseMatch):
        reverse_ws("fastws-live")


def test_a_route_of_the_project_on_the_same_path_is_a_mistake():
    declare()

    @FastWS().websocket("/ws/live")
    async def mine(ws): ...

    with pytest.raises(ImproperlyConfigured, match="FASTWS_LIVE_PATH"):
        get_asgi_application()


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [([], None), (["fastws.v1.json"], "fastws.v1.json"), (["x", "fastws.v1.json"], "fastws.v1.json"), (["x"], None)],
)
async def test_the_subprotocol_is_accepted_where_it_is_offered(offered, agreed):
    declare()
    async with client(subprotocols=offered) as one:
        assert one.ws.subprotocol == agreed
        await one.join("room/1")


async def test_a_foreign_origin_is_denied_as_on_any_route():
    declare()
    with pytest.raises(HandshakeDenied, match="403"):
        async with connect("/ws/live", application=get_asgi_application(), origin="https://evil.example"):
            pass


async def test_limits_of_sockets_hold_for_live_ones():
    declare()
    with override_settings(FASTWS_MESSAGE_RATE="2/h"):
        async with connect("/ws/live", application=get_asgi_application()) as ws:
            one = Client(ws)
            for _ in range(3):
                await one.say(leave="room/1", id=1)
            assert await ws.wait_closed() == 1008
    with override_settings(FASTWS_IDLE_TIMEOUT=0.02):
        async with connect("/ws/live", application=get_asgi_application()) as ws:
            assert await ws.wait_closed() == 1008
