"""Who may connect: login_required and permission, asked before a handler runs."""

import asyncio
import functools
import logging

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404

from django_fastws import RouteError, WebSocket, WebSocketException, metrics
from django_fastws._core.log_throttle import LogThrottle
from django_fastws.limits import recording, statistics
from django_fastws.testing import HandshakeDenied, connect
from tests.limits.serving import ADA, EVERY_KIND, AsyncEcho, echo, serve
from tests.site import asgi  # noqa: F401 (sets Django up again, which would take the root logger from caplog)
from tests.support.ids import shown

pytestmark = pytest.mark.usefixtures("routes", "db")

NOBODY = AnonymousUser()


class Member:
    """A user with the permissions that it was given, as a project may have its own."""

    is_authenticated = True
    pk = 7

    def __init__(self, *permissions):
        self.permissions = permissions

    def has_perm(self, permission):
        return permission in self.permissions


async def outcome(path="/x", **options):
    """101 where the handshake is accepted, else the status and the text."""
    try:
        async with connect(path, **options) as ws:
            await ws.send("hello")
            assert await ws.receive_text() == "hello"
            return 101
    except HandshakeDenied as denied:
        return denied.status, denied.text


# Logged in


@EVERY_KIND
async def test_who_is_not_logged_in_is_denied(handler):
    serve(handler, login_required=True)
    assert await outcome(user=NOBODY) == (401, "log in first")
    assert await outcome() == (401, "log in first")
    assert await outcome(user=ADA) == 101


async def test_a_denial_with_401_has_a_challenge():
    serve(login_required=True)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x"):
            pass
    assert raised.value.headers["www-authenticate"] == "Session"  # RFC 9110 section 15.5.2


@pytest.mark.django_db(transaction=True)
async def test_who_is_logged_in_by_the_session_is_let_in(async_client):
    serve(login_required=True)
    await async_client.aforce_login(await User.objects.acreate(username="ada"))
    assert await outcome(cookies=async_client.cookies) == 101
    assert await outcome(cookies={"sessionid": "x" * 32}) == (401, "log in first")


async def test_nothing_of_the_handler_runs_before():
    ran = []

    async def handler(ws):
        ran.append(ws)

    serve(handler, login_required=True)
    await outcome()
    assert ran == []


# Permissions by their names


@EVERY_KIND
@pytest.mark.parametrize(
    ("user", "result"),
    [
        (Member("shop.view_order"), 101),
        (Member("shop.change_order"), (403, "permission denied")),
        (Member(), (403, "permission denied")),
        (NOBODY, (401, "log in first")),
    ],
    ids=["has it", "has another", "has none", "nobody"],
)
async def test_a_permission_is_needed(handler, user, result):
    serve(handler, permission="shop.view_order")
    assert await outcome(user=user) == result


@pytest.mark.django_db(transaction=True)
async def test_a_permission_of_the_database(async_client):
    serve(permission="auth.view_user")
    ada, bob, root = [await User.objects.acreate(username=name) for name in ("ada", "bob", "root")]
    content_type = await ContentType.objects.aget(app_label="auth", model="user")
    permission = await Permission.objects.aget(codename="view_user", content_type=content_type)
    await ada.user_permissions.aadd(permission)
    root.is_superuser = True
    await root.asave()
    for user, result in ((ada, 101), (bob, (403, "permission denied")), (root, 101)):
        await async_client.aforce_login(user)
        assert await outcome(cookies=async_client.cookies) == result


async def test_of_several_all_are_needed():
    serve(permission=["shop.view_order", "shop.change_order", lambda ws: len(ws.user.permissions) < 3])
    assert await outcome(user=Member("shop.view_order", "shop.change_order")) == 101
    assert await outcome(user=Member("shop.view_order")) == (403, "permission denied")
    assert await outcome(user=Member("shop.view_order", "shop.change_order", "x.y")) == (403, "permission denied")


# Permissions by a function


def _sync(ws):
    return ws.query_params.get("let") == "in"


async def _async(ws):
    await asyncio.sleep(0)
    return _sync(ws)


class _Object:
    def __call__(self, ws):
        return _sync(ws)


class _AsyncObject:
    async def __call__(self, ws):
        return _sync(ws)


class _Methods:
    def check(self, ws):
        return _sync(ws)

    async def acheck(self, ws):
        return _sync(ws)


@EVERY_KIND
@pytest.mark.parametrize(
    "permission",
    [
        _sync,
        _async,
        lambda ws: _sync(ws),
        lambda ws: _async(ws),
        functools.partial(_sync),
        functools.partial(_async),
        _Object(),
        _AsyncObject(),
        _Methods().check,
        _Methods().acheck,
    ],
    ids=["sync", "async", "lambda", "alambda", "partial", "apartial", "object", "aobject", "method", "amethod"],
)
async def test_a_function_decides(handler, permission):
    serve(handler, permission=permission)
    assert await outcome("/x?let=in") == 101
    assert await outcome("/x?let=out") == (403, "permission denied")


async def test_a_function_gets_the_socket_that_the_handler_will_get():
    seen = []

    async def rule(ws):
        seen.append(ws)
        assert isinstance(ws, WebSocket)
        return ws.path_params == {"pk": 5, "day": "2026-05-01"} and ws.user is ADA and ws.tags == ("shop",)

    async def handler(ws, pk: int, day: str):
        seen.append(ws)
        await echo(ws)

    serve(handler, "/x/{pk}/{day}", permission=rule, tags=["shop"])
    assert await outcome("/x/5/2026-05-01", user=ADA) == 101
    assert seen[0] is seen[1]


async def test_a_parameter_that_does_not_fit_is_denied_before_anybody_is_asked():
    asked = []

    async def handler(ws, number: int):
        await echo(ws)

    serve(handler, permission=asked.append)
    status, text = await outcome("/x?number=five")
    assert status == 400
    assert "number" in text
    assert asked == []


@pytest.mark.django_db(transaction=True)
async def test_a_sync_function_may_use_the_database():
    serve(permission=lambda ws: User.objects.filter(username=ws.query_params["name"]).exists())
    await User.objects.acreate(username="ada")
    assert await outcome("/x?name=ada") == 101
    assert await outcome("/x?name=bob") == (403, "permission denied")


async def test_a_login_comes_first():
    asked = []
    serve(login_required=True, permission=lambda ws: asked.append(ws) or True)
    assert await outcome(user=NOBODY) == (401, "log in first")
    assert asked == []
    assert await outcome(user=ADA) == 101


@EVERY_KIND
@pytest.mark.parametrize(
    ("error", "result"),
    [
        (PermissionDenied("members only"), (403, "members only")),
        (PermissionDenied(), (403, "permission denied")),
        (WebSocketException(4003, "not you"), (403, "not you")),
        (Http404("no such shop"), (404, "no such shop")),
        (RuntimeError("on purpose"), (500, "Internal Server Error")),
        (ValueError("on purpose"), (500, "Internal Server Error")),
    ],
    ids=shown,
)
@pytest.mark.parametrize("is_async", [True, False])
async def test_a_function_may_raise(handler, error, result, is_async, caplog):
    async def arule(ws):
        raise error

    def rule(ws):
        raise error

    serve(handler, permission=arule if is_async else rule)
    assert await outcome() == result
    with_traceback = [record for record in caplog.records if record.exc_info]
    assert len(with_traceback) == (1 if result[0] == 500 else 0)


@pytest.mark.parametrize("answer", [False, 0, "", [], None])
async def test_what_is_not_true_is_no(answer, caplog):
    serve(permission=lambda ws: answer)
    assert await outcome() == (403, "permission denied")
    assert ("returned None: return True or False" in caplog.text) == (answer is None)


@pytest.mark.parametrize("answer", [True, 1, "yes", ADA])
async def test_what_is_true_is_yes(answer):
    serve(permission=lambda ws: answer)
    assert await outcome() == 101


@pytest.mark.parametrize("kind", ["function", "consumer"])
async def test_a_function_may_close_by_itself(kind):
    async def rule(ws):
        await ws.close()
        return True

    serve(echo if kind == "function" else AsyncEcho, permission=rule)
    assert (await outcome())[0] == 403


async def test_a_function_that_accepts_and_denies_closes():
    async def rule(ws):
        await ws.accept()
        return False

    serve(permission=rule)
    async with connect("/x") as ws:
        assert await ws.wait_closed() == 1008


# Without users


async def test_without_users_nobody_is_let_in_and_the_log_says_why(caplog):
    async def handler(ws):
        await echo(ws)

    serve(handler, login_required=True)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x", application=handler.as_asgi()):
            pass
    assert raised.value.status == 401
    assert "there is no user in the scope" in caplog.text
    assert "django.contrib.auth" in caplog.text


async def test_without_users_a_function_can_still_decide():
    async def handler(ws):
        await echo(ws)

    serve(handler, permission=lambda ws: True, max_connections_per_user=1)
    assert await outcome(application=handler.as_asgi()) == 101


# What is said


async def test_denials_are_counted_and_logged_once_a_second(caplog, monkeypatch):
    monkeypatch.setattr(recording, "_denials", LogThrottle())
    metrics.reset()
    serve(login_required=True)
    serve(path="/y", permission="shop.view_order")
    for _ in range(5):
        await outcome()
        await outcome("/y", user=Member())
    assert statistics().denied == {"login_required": 5, "permission": 5}
    records = [record for record in caplog.records if record.name == "django_fastws.access"]
    assert 1 <= len([record for record in records if "'/x'" in record.getMessage()]) <= 2
    assert all(record.levelno == logging.WARNING for record in records)


async def test_a_rule_that_closes_by_itself_has_denied():
    async def closing(ws):
        await ws.close()
        return True

    metrics.reset()
    serve(permission=closing)
    assert (await outcome())[0] == 403
    assert statistics().denied == {"permission": 1}


# Mistakes


@pytest.mark.parametrize(
    "permission",
    ["", "view_order", ".view_order", "shop.", "shop view_order", "shop. view_order", 5, True, b"a.b", {"a.b"}, User],
)
def test_a_permission_that_cannot_be_is_refused_where_it_is_declared(permission):
    with pytest.raises(RouteError, match="permission=") as raised:
        serve(permission=permission)
    assert "handshakes.echo" in str(raised.value)
    with pytest.raises(RouteError, match="permission="):
        serve(permission=["shop.view_order", permission])


@pytest.mark.parametrize("value", [None, 1, "yes"])
def test_login_required_is_true_or_false(value):
    with pytest.raises(RouteError, match="login_required="):
        serve(login_required=value)


@pytest.mark.parametrize("permission", ["shop.view_order", "shop.kasse_öffnen", "shop.orders.view", None, [], ()])
def test_a_permission_that_can_be_is_taken(permission):
    serve(permission=permission)
