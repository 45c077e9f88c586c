"""The script prefix and the language of the page are those of its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from channels.routing import URLRouter
from django.test import override_settings
from django.urls import get_script_prefix, path, set_script_prefix
from django.utils import translation

from django_fastws import FastWS
from django_fastws.asgi import Handshake, get_asgi_application
from django_fastws.routing import WebSocketRouter, websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from tests.settings import MIDDLEWARE
from tests.site import client, consumers
from tests.support.processes import ASGIServer

Serve = Callable[..., ASGIServer]
FUNCTION, CONSUMER, SYNC_CONSUMER = "/ws/state/function", "/ws/state/consumer", "/ws/state/sync-consumer"
LOCALE = ["django.middleware.locale.LocaleMiddleware"]


def with_root_path(application: Any, root_path: str) -> Any:
    async def behind_a_proxy(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "root_path": root_path}, receive, send)

    return behind_a_proxy


async def told(url: str, application: Any = None, **options: Any) -> list[dict[str, Any]]:
    async with connect(url, application=application, **options) as ws:
        answer: list[dict[str, Any]] = await ws.receive_json()
        return answer


# The script prefix

#: FORCE_SCRIPT_NAME, root_path, the path asked for, the prefix; None where there is nothing.
PREFIXES = [
    (None, "", FUNCTION, "/"),
    (None, "/app", f"/app{FUNCTION}", "/app/"),
    (None, "/app", FUNCTION, "/app/"),
    (None, "/app/", f"/app{FUNCTION}", "/app/"),
    (None, "/a/b", f"/a/b{FUNCTION}", "/a/b/"),
    (None, "/größe", f"/größe{FUNCTION}", "/größe/"),
    ("/app", "", f"/app{FUNCTION}", "/app/"),
    ("/app", "", FUNCTION, "/app/"),
    ("/app", "/app", f"/app{FUNCTION}", "/app/"),
    ("/app", "/inner", f"/inner{FUNCTION}", "/app/"),
    ("/app/", "", f"/app{FUNCTION}", "/app/"),
    ("", "/app", f"/app{FUNCTION}", "/app/"),
    (None, "/", FUNCTION, "/"),
    (None, "/app", f"/app{CONSUMER}", "/app/"),
    (None, "/app", f"/app{SYNC_CONSUMER}", "/app/"),
    (None, "/app", f"/app{FUNCTION[:-1]}", None),
    (None, "/app", f"/app/app{FUNCTION}", None),
    (None, "/app", f"/app{FUNCTION[1:]}", None),
    (None, "/app", f"/ap{FUNCTION}", None),
    (None, "/app", "/app", None),
    ("/app", "", f"/app{FUNCTION[1:]}", None),
    ("/app", "/app", f"/other{FUNCTION}", None),
]


@pytest.mark.usefixtures("db")  # consumers look after connections before each message
@pytest.mark.parametrize(
    "make",
    [
        get_asgi_application,
        lambda: Handshake(WebSocketRouter()),
        lambda: WebSocketRouter(),
        lambda: Handshake(URLRouter(websocket_urlpatterns())),
    ],
    ids=["application", "handshake", "bare router", "URLRouter"],
)
@pytest.mark.parametrize(("name", "root_path", "url", "prefix"), PREFIXES)
async def test_the_script_prefix(
    make: Callable[[], Any], name: str | None, root_path: str, url: str, prefix: str | None
):
    with override_settings(FORCE_SCRIPT_NAME=name):
        application = with_root_path(make(), root_path)
        if prefix is None:
            with pytest.raises((HandshakeDenied, ValueError)):
                await told(url, application)
            return
        for state in await told(url, application):
            assert state["prefix"] == prefix
            assert state["page"] == f"{quote(prefix)}hello/"
            assert state["socket"] == quote(prefix)[:-1] + FUNCTION
    assert get_script_prefix() == "/"


async def test_a_handler_that_is_mounted_by_hand_has_it_too():
    route = path("talk", consumers.request_state.function.as_asgi())
    application = with_root_path(URLRouter([route]), "/app")
    assert {state["prefix"] for state in await told("/app/talk", application)} == {"/app/"}


async def test_a_prefix_with_two_slashes_leads_nowhere_else():
    application = with_root_path(get_asgi_application(), "//evil.example")
    for state in await told(FUNCTION, application):
        assert state["page"] == "/%2Fevil.example/hello/"
        assert state["socket"] == f"/%2Fevil.example{FUNCTION}"


async def test_what_was_there_before_is_there_again():
    async def around(scope: Any, receive: Any, send: Any) -> None:
        set_script_prefix("/outer")
        with translation.override("fr"):
            await application({**scope, "root_path": "/inner"}, receive, send)
            after.append((get_script_prefix(), translation.get_language()))

    after: list[Any] = []
    with override_settings(MIDDLEWARE=LOCALE):
        application = get_asgi_application()
        states = await told(FUNCTION, around, headers={"Accept-Language": "de"})
    assert {(state["prefix"], state["language"]) for state in states} == {("/inner/", "de")}
    assert after == [("/outer/", "fr")]


async def test_middleware_that_rewrites_the_path_still_does(routes: Any):
    app = FastWS()

    @app.websocket("/new")
    async def new(ws):
        await ws.accept()
        await ws.send("new")

    def rewriting(inner: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            await inner({**scope, "path": scope["path"].replace("old", "new")}, receive, send)

        return middleware

    application = with_root_path(get_asgi_application(websocket_middleware=[rewriting]), "/app")
    async with connect("/app/old", application=application) as ws:
        assert await ws.receive_text() == "new"


@pytest.mark.server
@pytest.mark.parametrize(
    ("kind", "options", "settings", "paths"),
    [
        ("runws_server", ["--root-path", "/app"], {}, ["/app", ""]),
        ("daphne", ["--root-path", "/app"], {}, ["/app", ""]),
        ("uvicorn", ["--root-path", "/app"], {}, [""]),  # which puts the root path before what was asked for
        ("uvicorn-wsproto", ["--root-path", "/app"], {}, [""]),
        ("runserver", [], {"FORCE_SCRIPT_NAME": "/app"}, ["/app", ""]),
        ("runws_server", [], {"FORCE_SCRIPT_NAME": "/app"}, ["/app", ""]),
        ("daphne", [], {"FORCE_SCRIPT_NAME": "/app"}, ["/app", ""]),
        ("uvicorn", [], {"FORCE_SCRIPT_NAME": "/app"}, ["/app", ""]),
    ],
)
async def test_servers_with_a_root_path(serve: Serve, kind: str, options: Any, settings: Any, paths: list[str]):
    server = serve(kind, options=options, settings=settings)
    for prefix in paths:
        async with client.connect(server, prefix + FUNCTION) as ws:
            for state in await ws.recv_json():
                assert (state["page"], state["socket"]) == ("/app/hello/", f"/app{FUNCTION}")
    assert (await client.denial(server, f"/app{FUNCTION[1:]}"))[0] in (403, 404)


# The language

LANGUAGES = [
    ({}, {}, "en"),
    ({"Accept-Language": "de"}, {}, "de"),
    ({"Accept-Language": "xx, fr;q=0.5, de;q=0.8"}, {}, "de"),
    ({"Accept-Language": "\xff;;q=x"}, {}, "en"),
    ({"Accept-Language": "de"}, {"django_language": "fr"}, "fr"),
    ({"Accept-Language": "de"}, {"django_language": "no such"}, "de"),
    ({}, {"django_language": "pt-br"}, "pt-br"),
]


@pytest.mark.usefixtures("db")  # consumers look after connections before each message
@pytest.mark.parametrize("url", [FUNCTION, CONSUMER, SYNC_CONSUMER])
@pytest.mark.parametrize(("headers", "cookies", "language"), LANGUAGES)
async def test_the_language_of_the_page_is_active(url: str, headers: Any, cookies: Any, language: str):
    with override_settings(MIDDLEWARE=LOCALE):
        states = await told(url, headers=headers, cookies=cookies)
    with translation.override(language):
        month = translation.gettext("January")
    assert {(state["language"], state["month"]) for state in states} == {(language, month)}
    assert translation.get_language() == "en-us"


async def test_without_the_middleware_it_is_the_projects():
    names = ["django.middleware.common.CommonMiddleware"]
    for middleware in ([], names):
        with override_settings(MIDDLEWARE=middleware):
            states = await told(FUNCTION, headers={"Accept-Language": "de"})
        assert {state["language"] for state in states} == {"en-us"}


async def test_middleware_for_sockets_may_choose_another():
    def french(inner: Any) -> Any:
        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            with translation.override("fr"):
                await inner(scope, receive, send)

        return middleware

    with override_settings(MIDDLEWARE=LOCALE):
        application = get_asgi_application(websocket_middleware=[french])
        states = await told(FUNCTION, application, headers={"Accept-Language": "de"})
    assert {state["language"] for state in states} == {"fr"}


@pytest.mark.server
@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_sockets_of_several_languages_stay_apart(serve: Serve, kind: str):
    server = serve(kind, settings={"MIDDLEWARE": [*MIDDLEWARE, *LOCALE], "FASTWS_DB_THREADS": 1})

    async def ask(url: str, language: str, month: str) -> None:
        headers = {"Accept-Language": language}
        async with client.connect(server, url, additional_headers=headers) as ws:
            for again in (True, False) if url == FUNCTION else (False,):
                states = await ws.recv_json()
                assert {(state["language"], state["month"]) for state in states} == {(language, month)}
                if again:
                    await ws.send("again")

    months = [("de", "Januar"), ("fr", "janvier"), ("es", "enero"), ("pl", "Styczeń")]
    await asyncio.gather(*(ask(url, *month) for month in months for url in (FUNCTION, CONSUMER, SYNC_CONSUMER)))
