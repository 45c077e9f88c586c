"""get_asgi_application(): what each connection goes through; and the pieces, composed by hand."""

import asyncio

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.auth import AuthMiddlewareStack
from channels.middleware import BaseMiddleware
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.asgi import get_asgi_application as get_django_application
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import FastWS, Room, WebSocketException
from django_fastws.asgi import AuthMiddleware, Handshake, OriginCheck, get_asgi_application
from django_fastws.routing import WebSocketRouter, websocket_urlpatterns
from django_fastws.testing import HandshakeDenied, connect
from tests.support.handshakes import echo, serve, status_of
from tests.support.profiling import profiled
from tests.support.subprocesses import Project

pytestmark = pytest.mark.usefixtures("routes")


@pytest.fixture(autouse=True)
def _set_up_once(monkeypatch):
    """Django is set up. Doing it again, as get_asgi_application() does, would take the root logger from caplog."""
    monkeypatch.setattr("django.setup", lambda **kwargs: None)


async def whoami(ws):
    await ws.accept()
    await ws.send_json({"user": str(ws.user), "anonymous": ws.user.is_anonymous, "session": dict(ws.session.items())})


# Other protocols


async def test_http_goes_to_django():
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "path": "/hello/",
        "raw_path": b"/hello/",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"testserver")],
    }
    application = ApplicationCommunicator(get_asgi_application(), scope)
    await application.send_input({"type": "http.request", "body": b"", "more_body": False})
    assert (await application.receive_output())["status"] == 200
    assert (await application.receive_output())["body"] == b"hello"
    await application.wait()


async def test_a_lifespan_is_answered():
    application = ApplicationCommunicator(get_asgi_application(), {"type": "lifespan", "asgi": {"version": "3.0"}})
    await application.send_input({"type": "lifespan.startup"})
    assert await application.receive_output() == {"type": "lifespan.startup.complete"}
    assert not application.future.done()
    await application.send_input({"type": "lifespan.shutdown"})
    assert await application.receive_output() == {"type": "lifespan.shutdown.complete"}
    await application.wait()


# Malformed handshakes


@pytest.mark.parametrize(
    "kwargs",
    [
        {"path": "/x?q=%ff"},
        {"path": "/x?" + "&".join(["a"] * 1001)},
        {"subprotocols": ["a b"]},
        {"subprotocols": [""]},
        {"subprotocols": ["x"] * 1000},
    ],
    ids=lambda kwargs: repr(kwargs)[:40],
)
async def test_a_malformed_handshake_is_denied_with_400_and_no_traceback(kwargs, caplog):
    serve(echo)
    assert await status_of(**kwargs) == 400
    assert all(record.exc_info is None for record in caplog.records)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    query=st.binary(max_size=20),
    headers=st.lists(
        st.tuples(st.sampled_from([b"cookie", b"origin", b"host", b"x"]), st.binary(max_size=20)), max_size=4
    ),
    subprotocols=st.lists(st.text(max_size=5), max_size=3),
)
def test_no_handshake_is_an_error(query, headers, subprotocols, caplog):
    application = Handshake(OriginCheck(serve_once()))

    async def shake():
        scope = {
            "type": "websocket",
            "path": "/x",
            "query_string": query,
            "headers": headers,
            "subprotocols": subprotocols,
            "extensions": {"websocket.http.response": {}},
        }
        connection = ApplicationCommunicator(application, scope)
        await connection.send_input({"type": "websocket.connect"})
        answer = await connection.receive_output()
        await connection.send_input({"type": "websocket.disconnect", "code": 1000})
        await connection.wait()
        return answer

    answer = asyncio.run(shake())
    assert answer["type"] == "websocket.accept" or answer["status"] in (400, 403)
    assert all(record.exc_info is None for record in caplog.records)


def serve_once():
    async def handler(ws):  # its own: the first route of a handler is what as_asgi() returns
        await echo(ws)

    FastWS().websocket("/x")(handler)
    return handler.as_asgi()


# Middleware of a project's own


def marking(name):
    """Middleware that leaves its name in the scope, and sees what passes."""

    class Marking:
        sent, received = [], []

        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            seen_sent, seen_received = self.sent, self.received
            scope = {
                **scope,
                "marks": (*scope.get("marks", ()), name),
                "found": ("user" in scope, "session" in scope),
            }

            async def receiving():
                event = await receive()
                seen_received.append(event)
                return event

            async def sending(event):
                seen_sent.append(event)
                await send(event)

            await self.inner(scope, receiving, sending)

    return Marking


Dotted = marking("dotted")


async def show_marks(ws):
    await ws.accept()
    await ws.send_json(list(ws.scope["marks"]))


async def test_the_first_middleware_is_the_outermost():
    serve(show_marks)
    application = get_asgi_application(
        websocket_middleware=[marking("one"), "tests.test_asgi.Dotted", marking("two")]
    )
    async with connect("/x", application=application) as ws:
        assert await ws.receive_json() == ["one", "dotted", "two"]


async def test_middleware_may_come_from_any_iterable():
    serve(show_marks)
    application = get_asgi_application(websocket_middleware=(made for made in [marking("one")]))
    async with connect("/x", application=application) as ws:
        assert await ws.receive_json() == ["one"]


async def test_middleware_finds_user_and_session_in_place():
    async def handler(ws):
        await ws.accept()
        await ws.send_json(ws.scope["found"])

    serve(handler)
    async with connect("/x", application=get_asgi_application(websocket_middleware=[marking("one")])) as ws:
        assert await ws.receive_json() == [True, True]


@pytest.mark.parametrize("dotted", ["nope.Nope", "tests.test_asgi.Nope"])
def test_a_dotted_path_that_leads_nowhere_raises_at_start_up(dotted):
    with pytest.raises(ImportError):
        get_asgi_application(websocket_middleware=[dotted])


async def test_middleware_that_wraps_send_and_receive_sees_every_event():
    async def handler(ws):
        await ws.accept(headers={"X-A": "1"})
        await ws.join("room")
        async for message in ws:
            await ws.send(message.data)
            await ws.broadcast("room", b"to all")

    serve(handler)
    middleware = marking("one")
    async with connect("/x", application=get_asgi_application(websocket_middleware=[middleware])) as ws:
        await ws.send("hello")
        assert await ws.receive_text() == "hello"
        assert await ws.receive_bytes() == b"to all"
        await Room("room").abroadcast({"a": 1})
        assert await ws.receive_json() == {"a": 1}
        await ws.close(4000, "bye")
    assert [event["type"] for event in middleware.sent] == ["websocket.accept"] + ["websocket.send"] * 3
    assert [event["type"] for event in middleware.received] == [
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
    ]
    assert middleware.received[-1]["code"] == 4000


async def test_middleware_may_change_what_passes():
    class Shouting:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            async def loudly(event):
                if event.get("text"):
                    event = {**event, "text": event["text"].upper()}
                await send(event)

            await self.inner(scope, receive, loudly)

    serve(echo)
    async with connect("/x", application=get_asgi_application(websocket_middleware=[Shouting])) as ws:
        await ws.send("hello")
        assert await ws.receive_text() == "HELLO"
        await ws.send(b"hello")
        assert await ws.receive_bytes() == b"hello"


async def test_channels_middleware_fits():
    class Token(BaseMiddleware):
        async def __call__(self, scope, receive, send):
            return await super().__call__({**scope, "token": "abc"}, receive, send)

    async def handler(ws):
        await ws.accept()
        await ws.send(ws.scope["token"])

    serve(handler)
    async with connect("/x", application=get_asgi_application(websocket_middleware=[Token])) as ws:
        assert await ws.receive_text() == "abc"


async def test_middleware_may_set_the_user():
    class ByToken:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            await self.inner({**scope, "user": "by token"}, receive, send)

    async def handler(ws):
        await ws.accept()
        await ws.send(ws.user)

    serve(handler)
    async with connect("/x", application=get_asgi_application(websocket_middleware=[ByToken])) as ws:
        assert await ws.receive_text() == "by token"


async def test_middleware_may_deny():
    class Bouncer:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            await receive()
            await send({"type": "websocket.close"})

    serve(echo)
    assert await status_of(application=get_asgi_application(websocket_middleware=[Bouncer])) == 403


def failing(at):
    class Failing:
        def __init__(self, inner):
            self.inner = inner

        async def __call__(self, scope, receive, send):
            if at == "before":
                raise ValueError("on purpose")
            await self.inner(scope, receive, send)
            raise ValueError("on purpose")

    return Failing


async def test_middleware_that_fails_before_the_handshake_denies_it_and_is_logged(caplog):
    serve(echo)
    assert await status_of(application=get_asgi_application(websocket_middleware=[failing("before")])) == 500
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["on purpose"]


async def sent_by(application, *inputs):
    """Every event that an application sends, for a connection with these events in."""
    sent = []
    scope = {"type": "websocket", "path": "/x", "headers": [], "query_string": b"", "subprotocols": []}
    queue = asyncio.Queue()
    for event in ({"type": "websocket.connect"}, *inputs):
        queue.put_nowait(event)

    async def send(event):
        sent.append(event["type"])

    await asyncio.wait_for(application(scope, queue.get, send), 30)
    return sent


async def test_middleware_that_fails_after_the_handler_closed_sends_nothing_more(caplog):
    async def handler(ws):
        await ws.accept()

    serve(handler)
    application = get_asgi_application(websocket_middleware=[failing("after")])
    assert await sent_by(application) == ["websocket.accept", "websocket.close"]
    assert any(record.exc_info for record in caplog.records)


async def test_middleware_that_fails_after_the_peer_left_sends_nothing_more(caplog):
    serve(echo)
    application = get_asgi_application(websocket_middleware=[failing("after")])
    assert await sent_by(application, {"type": "websocket.disconnect", "code": 1000}) == ["websocket.accept"]


# Users and sessions


async def test_without_a_cookie_the_user_is_anonymous_and_no_database_is_asked():
    # pytest-django lets no test without its mark near a database
    serve(whoami)
    async with connect("/x", application=get_asgi_application()) as ws:
        assert await ws.receive_json() == {"user": "AnonymousUser", "anonymous": True, "session": {}}


@pytest.mark.django_db(transaction=True)
class TestUsers:
    async def test_a_logged_in_user_is_resolved_before_the_handler_runs(self):
        ada = await get_user_model().objects.acreate(username="ada")
        client = Client()
        await sync_to_async(client.force_login)(ada)

        async def handler(ws):
            # nothing is awaited here: the user must be there
            name, authenticated = ws.user.username, ws.user.is_authenticated
            await ws.accept()
            await ws.send_json([name, authenticated, ws.user == ada, ws.session["_auth_user_id"]])

        serve(handler)
        async with connect("/x", application=get_asgi_application(), cookies=client.cookies) as ws:
            assert await ws.receive_json() == ["ada", True, True, str(ada.pk)]

    @pytest.mark.parametrize(
        "cookie",
        [
            "sessionid=",
            "sessionid=nosuchsession",
            "sessionid=" + "x" * 500,
            "sessionid=\xe9\xff",
            "sessionid",
            ";;;=;",
            'sessionid="quoted \\" x"',
            "sessionid=' OR 1=1 --",
            "a=1; a=2; sessionid=short",
        ],
    )
    async def test_a_bad_session_cookie_is_an_anonymous_user_and_no_traceback(self, cookie, caplog):
        serve(whoami)
        async with connect("/x", application=get_asgi_application(), headers={"Cookie": cookie}) as ws:
            assert await ws.receive_json() == {"user": "AnonymousUser", "anonymous": True, "session": {}}
        assert all(record.exc_info is None for record in caplog.records)

    async def test_a_user_that_was_deleted_is_anonymous(self):
        ada = await get_user_model().objects.acreate(username="ada")
        client = Client()
        await sync_to_async(client.force_login)(ada)
        await ada.adelete()
        serve(whoami)
        async with connect("/x", application=get_asgi_application(), cookies=client.cookies) as ws:
            assert (await ws.receive_json())["anonymous"] is True

    async def test_a_handler_may_change_and_save_the_session(self):
        ada = await get_user_model().objects.acreate(username="ada")
        client = Client()
        await sync_to_async(client.force_login)(ada)

        async def handler(ws):
            await ws.accept()
            ws.session["visits"] = ws.session.get("visits", 0) + 1
            await ws.session.asave()
            await ws.send_json(ws.session["visits"])

        serve(handler)
        for visits in (1, 2):
            async with connect("/x", application=get_asgi_application(), cookies=client.cookies) as ws:
                assert await ws.receive_json() == visits


@pytest.mark.parametrize("user", ["ada", AnonymousUser()])
async def test_a_user_given_to_the_test_client_needs_no_database(user):
    async def handler(ws):
        await ws.accept()
        await ws.send(str(ws.user))

    serve(handler)
    async with connect("/x", application=get_asgi_application(), user=user) as ws:
        assert await ws.receive_text() == str(user)


def test_a_project_without_sessions_and_users(tmp_path):
    project = Project(
        tmp_path,
        files={
            "chat/__init__.py": "",
            "chat/consumers.py": """
                from django_fastws import FastWS, WebSocketStateError

                app = FastWS()

                @app.websocket("/x")
                async def x(ws, name: str = "you"):
                    await ws.accept()
                    await ws.send(f"hello {name}")
                    for attribute in ("user", "session"):
                        try:
                            getattr(ws, attribute)
                        except WebSocketStateError as error:
                            await ws.send(str(error))
            """,
        },
        settings="INSTALLED_APPS += ['chat']",
    )
    done = project.run("""
        import asyncio
        from django_fastws.asgi import get_asgi_application
        from django_fastws.testing import connect

        application = get_asgi_application()

        async def main():
            async with connect("/x?name=ada", application=application) as ws:
                async for message in ws:
                    print(message)

        asyncio.run(main())
    """)
    assert done.stderr == ""
    hello, user, session = done.stdout.splitlines()
    assert hello == "hello ada"
    assert user.startswith("no user here: add 'django.contrib.auth' to INSTALLED_APPS")
    assert session.startswith("no session here: add 'django.contrib.sessions' to INSTALLED_APPS")


def test_a_project_that_has_not_installed_the_app_is_told_so(tmp_path):
    project = Project(tmp_path, settings="INSTALLED_APPS = ['channels']")
    done = project.run("import project.asgi")
    assert done.returncode != 0
    assert "ImproperlyConfigured: Add 'django_fastws' to INSTALLED_APPS" in done.stderr


def test_the_application_is_not_built_of_routes_that_cannot_be_served(tmp_path):
    project = Project(
        tmp_path,
        files={
            "chat/__init__.py": "",
            "chat/consumers.py": """
                from django_fastws import FastWS

                @FastWS().websocket("/x")
                def x(ws): ...
            """,
        },
        settings="INSTALLED_APPS += ['chat']",
    )
    done = project.run("import project.asgi")
    assert done.returncode != 0
    assert "ImproperlyConfigured: chat.consumers: " in done.stderr
    assert "async def x(ws, ...)" in done.stderr


# Composition by hand


@pytest.mark.django_db(transaction=True)
async def test_by_hand_with_channels_own_pieces():
    serve(whoami)
    application = ProtocolTypeRouter(
        {
            "http": get_django_application(),
            "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns()))),
        }
    )
    ada = await get_user_model().objects.acreate(username="ada")
    client = Client()
    await sync_to_async(client.force_login)(ada)
    async with connect("/x", application=application, cookies=client.cookies, origin="http://testserver") as ws:
        assert (await ws.receive_json())["user"] == "ada"
    assert await status_of(application=application, origin="http://evil.example") == 403


async def test_by_hand_with_the_packages_pieces():
    serve(echo)
    application = ProtocolTypeRouter({"websocket": Handshake(OriginCheck(WebSocketRouter()))})
    async with connect("/x", application=application, origin="http://testserver") as ws:
        await ws.send("hello")
        assert await ws.receive_text() == "hello"
    assert await status_of(application=application, origin="http://evil.example") == 403
    assert await status_of("/nope", application=application) == 404


async def test_by_hand_without_the_handshake_query_strings_are_checked_all_the_same():
    serve(echo)
    assert await status_of("/x?q=%ff", application=URLRouter(websocket_urlpatterns())) == 400


async def test_the_packages_auth_middleware_needs_channels_sessions():
    serve(echo)
    application = AuthMiddleware(WebSocketRouter())
    with pytest.raises(ValueError, match="SessionMiddleware"):
        async with connect("/x", application=application):
            pass


async def test_a_handler_without_any_middleware_at_all():
    async def handler(ws):  # its own: the first route of a handler is what as_asgi() returns
        await echo(ws)

    serve(handler)
    async with connect("/anything", application=handler.as_asgi()) as ws:
        await ws.send({"a": 1})
        assert await ws.receive_json() == {"a": 1}


async def test_a_websocket_exception_before_accept_denies_through_everything():
    async def handler(ws):
        raise WebSocketException(4003, "not you")

    serve(handler)
    with pytest.raises(HandshakeDenied) as raised:
        async with connect("/x", application=get_asgi_application(websocket_middleware=[marking("one")])):
            pass
    assert (raised.value.status, raised.value.text) == (403, "not you")


# Costs


async def calls_of_a_handshake(application, headers):
    """How many functions are called for a connection that is opened, and closed by its client."""
    events = [{"type": "websocket.disconnect", "code": 1000}, {"type": "websocket.connect"}]
    sent, calls = [], 0

    async def receive():
        return events.pop()

    async def send(message):
        sent.append(message["type"])

    def profile(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "scheme": "ws",
        "path": "/x",
        "query_string": b"a=1",
        "headers": [(b"host", b"testserver"), *headers],
        "client": ["192.0.2.1", 4711],
        "server": ["127.0.0.1", 8000],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    with profiled(profile):
        await application(scope, receive, send)
    assert sent == ["websocket.accept"]
    return calls


async def test_a_handshake_without_a_session_calls_little(settings):
    async def handler(ws):
        await ws.accept()
        await ws.receive()

    FastWS().websocket("/x")(handler)
    settings.ALLOWED_HOSTS = ["testserver"]
    application = get_asgi_application()
    for headers in ([], [(b"origin", b"http://testserver"), (b"cookie", b"theme=dark")]):
        await calls_of_a_handshake(application, headers)  # the first looks up what is kept
        assert (
            await calls_of_a_handshake(application, headers) < 350
        )  # some sixty are of settings that a test changes
