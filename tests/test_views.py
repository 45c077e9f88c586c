"""The view of HTTP publish: what it takes, what it refuses and how, under both of Django's handlers."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, UnreadablePostError
from django.test import AsyncClient, Client, RequestFactory
from django.urls import path

from django_fastws import FastWS, History, Room, views
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.clock import process_clock
from django_fastws.live import find
from django_fastws.testing import clear_histories
from django_fastws.views import publish
from tests.support.signing import KEYS, SECRET, encoded, signed

URL = "/realtime/publish"

urlpatterns = [path("realtime/publish", publish)]


@pytest.fixture(autouse=True)
def project(routes, settings, monkeypatch):
    settings.ROOT_URLCONF = __name__
    settings.CHANNEL_LAYERS = {}
    settings.FASTWS_PUBLISH_KEYS = KEYS
    FastWS().room("orders/{pk}", history=History(messages=2000))
    clear_histories()
    monkeypatch.setattr(views._refusals, "_throttle", LogThrottle(60.0))


def post(body: bytes, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, Any]:
    """The status and the JSON of the answer."""
    headers = signed(body) if headers is None else headers
    options.setdefault("content_type", "application/json")
    response = Client(enforce_csrf_checks=True).post(URL, body, headers=headers, **options)
    assert response["Content-Type"] == "application/json"
    return response.status_code, json.loads(response.content)


def code(body: bytes, headers: dict[str, str] | None = None, **options: Any) -> tuple[int, str]:
    status, told = post(body, headers, **options)
    assert {*told["error"]} <= {"code", "message", "place"}
    return status, told["error"]["code"]


ITEM = {"room": "orders/5", "data": {"n": 1}}
ONE = encoded(ITEM)


def count() -> int:
    """How many were published to the room."""
    return len(Room("orders/5").history())


def test_what_is_signed_is_published_and_answered_in_order():
    body = encoded(ITEM, {"room": "users/1", "data": 1}, {"room": "raw", "data": "text"}, {**ITEM, "event": "told"})
    status, told = post(body)
    assert status == 200
    assert list(told) == ["results"]
    first, second, third, fourth = told["results"]
    assert second["error"]["code"] == "forbidden"
    assert third == {"at": None}
    assert [first, fourth] == [{"at": str(one.position)} for one in Room("orders/5").history()]


def test_none_is_nothing():
    assert post(encoded()) == (200, {"results": []})


def test_there_may_be_a_thousand():
    status, told = post(encoded(*[ITEM] * 1000))
    assert status == 200
    assert [int(one["at"].partition(":")[2]) for one in told["results"]] == list(range(1, 1001))
    assert code(encoded(*[ITEM] * 1001)) == (400, "bad_request")
    assert count() == 100  # those that are read at once


# Who has signed it


@pytest.mark.parametrize("secret", KEYS["all"]["secret"])
def test_each_secret_of_a_key_is_valid(secret):
    assert post(ONE, signed(ONE, "all", secret))[0] == 200


def test_a_key_without_rooms_may_publish_to_none():
    status, told = post(ONE, signed(ONE, "none"))
    assert (status, told["results"][0]["error"]["code"]) == (200, "forbidden")
    assert count() == 0


def test_keys_are_read_anew_with_each_request(settings):
    settings.FASTWS_PUBLISH_KEYS = {"next": {"secret": b"\xff" * 32, "rooms": ["*"]}}
    assert code(ONE) == (401, "unauthenticated")
    settings.FASTWS_PUBLISH_KEYS = {}
    assert code(ONE) == (401, "unauthenticated")


HEADERS = list(signed(ONE))
#: Made when a test runs, for they are signed then.
UNSIGNED: list[Callable[[], dict[str, str]]] = [
    dict,
    lambda: signed(ONE, "nobody"),
    lambda: signed(ONE, "größe"),
    lambda: signed(ONE, secret="another"),
    lambda: signed(ONE, off=-3600),
    lambda: signed(ONE, off=3600),
    lambda: signed(ONE + b" "),
    lambda: signed(ONE, timestamp=f"{time.time()}"),
    lambda: signed(ONE, timestamp="soon"),
    *[lambda left=left: {name: value for name, value in signed(ONE).items() if name != left} for left in HEADERS],
    *[lambda name=name: {**signed(ONE), name: ",".join([signed(ONE)[name]] * 2)} for name in HEADERS],
    *[lambda name=name: {**signed(ONE), name: "\xa0\xff"} for name in HEADERS],
    *[lambda name=name: {**signed(ONE), name: ""} for name in HEADERS],
]


@pytest.mark.parametrize("make", UNSIGNED, ids=[str(place) for place in range(len(UNSIGNED))])
def test_what_is_not_signed_is_refused_with_401_and_nothing_is_published(make, caplog):
    headers = make()
    response = Client().post(URL, ONE, headers=headers, content_type="application/json")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Fastws")
    assert response.json()["error"]["code"] == "unauthenticated"
    assert count() == 0
    # Whatever else is wrong.
    assert code(b"\xff", headers)[0] == 401
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("off", "status"), [(-301, 401), (-300, 200), (300, 200), (301, 401)])
def test_the_clock_may_be_off_by_five_minutes(monkeypatch, off, status):
    monkeypatch.setattr(process_clock, "time", lambda: 1_764_500_000.9)
    assert post(ONE, signed(ONE, timestamp=str(1_764_500_000 + off)))[0] == status


def test_time_is_that_of_the_process(monkeypatch):
    monkeypatch.setattr(process_clock, "ahead_of_day", 10_000.0)
    assert code(ONE) == (401, "unauthenticated")
    assert post(ONE, signed(ONE, off=10_000))[0] == 200


def test_the_names_of_headers_have_no_case_and_the_hex_neither():
    headers = {name.lower(): f" {value} " for name, value in signed(ONE).items()}
    assert post(ONE, headers)[0] == 200
    headers = {name.upper(): value.upper() if "SIG" in name.upper() else value for name, value in signed(ONE).items()}
    assert post(ONE, headers)[0] == 200


def test_a_request_that_is_sent_again_is_published_once_where_it_has_an_idempotency_key():
    body = encoded({**ITEM, "idempotency_key": "order 5 paid"}, {"room": "raw", "data": 1})
    headers = signed(body)
    assert post(body, headers) == post(body, headers)
    assert count() == 1
    assert post(ONE, signed(ONE)) != post(ONE, signed(ONE))
    assert count() == 3


def test_refusals_are_said_once_a_minute_and_without_secrets(caplog, monkeypatch):
    for _ in range(50):
        code(ONE, signed(ONE, "shop\x1b[0m", secret="guessed"))
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("django_fastws.publish", logging.WARNING)
    ]
    assert caplog.records[0].getMessage() == (
        "HTTP publish refused 1 request; this one with the key 'shop\\x1b[0m', from 127.0.0.1: there is no such key, "
        "or X-Fastws-Signature is not made with its secret, of this body"
    )
    monkeypatch.setattr(process_clock, "ahead", process_clock.ahead + 61)
    code(ONE, {})
    assert len(caplog.records) == 2
    assert caplog.records[1].getMessage() == (
        "HTTP publish refused 50 requests; this one with the key '', from 127.0.0.1: X-Fastws-Key is missing"
    )
    assert signed(ONE)["X-Fastws-Signature"] not in caplog.text


# What is sent


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"", "line 1 column 1"),
        (b'{"publish":[{"room":"orders/5","data":1}', "line 1 column 41"),
        (b"\xff", "byte 0"),
        (b"[]", "body"),
        (b"{}", "publish"),
        (encoded(ITEM, {"room": 5, "data": 1}), "publish[1].room"),
        (encoded(ITEM, {"room": "orders/5"}), "publish[1].data"),
        (encoded(ITEM, {**ITEM, "vent": "x"}), "publish[1].vent"),
        (b"[" * 200_000, "line 1 column "),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_what_is_no_such_json_is_refused_with_its_place_and_nothing_is_published(body, place, caplog):
    status, told = post(body)
    assert (status, told["error"]["code"]) == (400, "bad_request")
    assert told["error"]["place"].startswith(place)
    assert told["error"]["message"].startswith(told["error"]["place"])
    assert count() == 0
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "text/plain", "application/x-www-form-urlencoded", "x"]
)
def test_it_is_json_whatever_is_said_of_it(content_type):
    assert post(ONE, content_type=content_type)[0] == 200


class ReadsBodies:
    """Middleware that has looked at the body before."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        request.body  # noqa: B018
        request.POST  # noqa: B018
        return self.get_response(request)


def test_middleware_may_have_read_the_body(settings):
    settings.MIDDLEWARE = [f"{__name__}.ReadsBodies"]
    assert post(ONE)[0] == 200


@pytest.mark.parametrize("setting", [None, 1000])
def test_a_body_has_a_bound(settings, setting):
    settings.FASTWS_MAX_BODY_BYTES = setting
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10  # that is of forms
    most = setting or 4 * 1024 * 1024
    fits = ONE + b" " * (most - len(ONE))
    assert post(fits)[0] == 200
    assert code(fits + b" ") == (413, "too_big")
    assert code(fits + b" ", {}) == (413, "too_big")
    assert count() == 1


class Stream:
    """Body of a request that says nothing of its length, and how much of it was read."""

    def __init__(self, *parts: bytes | Exception) -> None:
        self.parts, self.read_bytes = list(parts), 0

    def read(self, size: int) -> bytes:
        if not self.parts:
            return b""
        part = self.parts.pop(0)
        if isinstance(part, Exception):
            raise part
        self.read_bytes += len(part[:size])
        if part[size:]:
            self.parts.insert(0, part[size:])
        return part[:size]


def streamed(stream: Stream, headers: dict[str, str], **meta: str) -> Any:
    request = RequestFactory().post(URL, headers=headers)
    request.META.pop("CONTENT_LENGTH", None)
    request.META.update(meta)
    request._stream = stream
    return publish(request)


def test_a_body_comes_in_parts_and_no_more_is_read_than_the_bound(settings):
    settings.FASTWS_MAX_BODY_BYTES = 1000
    assert streamed(Stream(ONE[:5], ONE[5:6], ONE[6:]), signed(ONE)).status_code == 200
    stream = Stream(*[b"x" * 100] * 100)
    assert streamed(stream, {}).status_code == 413
    assert stream.read_bytes == 1001
    stream = Stream(b"x" * 2000)
    assert streamed(stream, {}, CONTENT_LENGTH="2000").status_code == 413
    assert stream.read_bytes == 0
    assert streamed(Stream(ONE), signed(ONE), CONTENT_LENGTH="nonsense").status_code == 200


def test_a_client_that_goes_away_is_no_error_here(caplog):
    response = streamed(Stream(ONE[:5], UnreadablePostError("on purpose")), signed(ONE))
    assert (response.status_code, count(), caplog.records) == (400, 0, [])


@pytest.mark.parametrize("method", ["get", "head", "options", "put", "patch", "delete", "trace"])
def test_other_methods_are_not_allowed(method):
    response = getattr(Client(), method)(URL)
    assert (response.status_code, response["Allow"]) == (405, "POST")


# In a project


def test_a_setting_that_is_wrong_is_an_error_of_the_project_without_its_secret(settings):
    settings.FASTWS_PUBLISH_KEYS = {"shop": {"secret": "hush", "room": []}}
    response = Client(raise_request_exception=False).post(URL, ONE, headers=signed(ONE), content_type="x")
    assert response.status_code == 500
    assert b"hush" not in response.content


def test_it_needs_no_login_where_all_else_does(settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert post(ONE)[0] == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_with_atomic_requests_it_has_positions_all_the_same(settings, kind):
    from django.db import connections

    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        if kind == "wsgi":
            status, told = post(ONE)
        else:
            response = asyncio.run(AsyncClient().post(URL, ONE, headers=signed(ONE), content_type="x"))
            status, told = response.status_code, response.json()
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False
    assert (status, told) == (200, {"results": [{"at": str(Room("orders/5").position())}]})


async def test_under_asgi_it_runs_in_a_thread_and_the_loop_goes_on(monkeypatch):
    loops, items = [], views.publish_items

    def noted(*args):
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        loops.append(1)
        return items(*args)

    monkeypatch.setattr(views, "publish_items", noted)
    response = await AsyncClient(enforce_csrf_checks=True).post(
        URL, ONE, headers=signed(ONE), content_type="application/json"
    )
    assert (response.status_code, loops) == (200, [1])
    assert response.json()["results"][0]["at"] == str(await Room("orders/5").aposition())
    response = await AsyncClient().post(URL, ONE, headers=signed(ONE, secret="x"), content_type="application/json")
    assert response.status_code == 401


def test_the_room_of_these_tests_is_declared():
    assert find("orders/5") is not None
    assert isinstance(RequestFactory().get("/"), HttpRequest)
