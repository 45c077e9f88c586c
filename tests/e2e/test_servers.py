"""The WebSocket object on real servers: what the handler does, what the client sees, and the other way round."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.conftest import tracebacks
from tests.site.client import LIMIT, abort, connect, denial, report, token, until
from tests.support.processes import HOST, ASGIServer

pytestmark = pytest.mark.server

KNOWN = ["runws_server", "daphne", "uvicorn", "uvicorn-websockets", "uvicorn-wsproto"]
PLAIN = ["hypercorn", "granian"]
CODES = [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4000, 4999]

on_known_servers = pytest.mark.parametrize("kind", KNOWN)
on_all_servers = pytest.mark.parametrize("kind", KNOWN + PLAIN)


@pytest.fixture
def server(site: Any, kind: str) -> ASGIServer:
    return site(kind)


# ── Messages ────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_all_servers
@pytest.mark.parametrize(
    ("call", "sent", "returned"),
    [
        ("receive", "größe ✓ 🚀", "größe ✓ 🚀"),
        ("recv", "", ""),
        ("receive_text", "größe ✓ 🚀", "größe ✓ 🚀"),
        ("recv_str", "", ""),
        ("receive_bytes", b"\x00\xff", {"bytes": "00ff"}),
        ("recv_bytes", b"", {"bytes": ""}),
        ("receive_json", '{"größe": [1, null]}', {"größe": [1, None]}),
        ("recv_json", '"🚀"'.encode(), "🚀"),
    ],
)
async def test_every_spelling_of_receive_returns_what_the_client_sent(server, call, sent, returned):
    async with connect(server, "/ws/do") as ws:
        await ws.send_json({"call": call})
        await ws.send(sent)
        assert await ws.recv_json() == {"returned": returned}


@on_all_servers
@pytest.mark.parametrize(
    ("call", "data", "arrives"),
    [
        ("send", "größe ✓ 🚀", "größe ✓ 🚀"),
        ("send", {"größe": [1, None]}, '{"größe":[1,null]}'),
        ("send", ["🚀"], '["🚀"]'),
        ("send_text", "", ""),
        ("send_str", "größe", "größe"),
        ("send_json", "größe", '"größe"'),
        ("send_json", None, "null"),
    ],
)
async def test_every_spelling_of_send_reaches_the_client(server, call, data, arrives):
    async with connect(server, "/ws/do") as ws:
        await ws.send_json({"call": call, "args": [data]})
        assert await ws.recv() == arrives
        assert await ws.recv_json() == {"returned": None}


@on_all_servers
@pytest.mark.parametrize("message", ["größe", b"\x00\xff", "", b""])
async def test_a_message_keeps_its_kind(server, message):
    async with connect(server, "/ws/echo") as ws:
        await ws.send(message)
        assert await ws.recv() == message


@on_all_servers
async def test_empty_messages_pass_both_ways(server):
    async with connect(server, "/ws/empties") as ws:
        assert [await ws.recv(), await ws.recv()] == ["", b""]
        await ws.send(b"")
        await ws.send("")
        assert [await ws.recv(), await ws.recv()] == ["b''", "''"]


@on_all_servers
@pytest.mark.parametrize(
    ("call", "sent", "raised"),
    [
        ("receive_text", b"bytes", "TypeError"),
        ("recv_str", b"", "TypeError"),
        ("receive_bytes", "text", "TypeError"),
        ("recv_bytes", "", "TypeError"),
        ("receive_json", "{", "JSONDecodeError"),
        ("receive_json", "", "JSONDecodeError"),
        ("recv_json", b"\xff", "JSONDecodeError"),
        ("receive_json", b"", "JSONDecodeError"),
    ],
)
async def test_a_message_that_does_not_fit_raises_and_leaves_the_socket_usable(server, call, sent, raised):
    async with connect(server, "/ws/do") as ws:
        await ws.send_json({"call": call})
        await ws.send(sent)
        answer = await ws.recv_json()
        assert answer["raised"] == raised
        assert answer["says"].startswith(call.replace("recv_str", "receive_text").replace("recv", "receive"))
        assert await ws.ask({"call": "send_bytes", "args": ["not bytes"]}) == {
            "raised": "TypeError",
            "says": "send_bytes() takes bytes, not str",
        }
        await ws.send_json({"call": "receive_text"})
        await ws.send("still here")
        assert await ws.recv_json() == {"returned": "still here"}


@on_known_servers
@pytest.mark.parametrize("size", [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300_000, 1024 * 1024])
@pytest.mark.parametrize("kind_of_message", [str, bytes])
async def test_big_messages_pass_both_ways(server, size, kind_of_message):
    message = "x" * size if kind_of_message is str else b"\xff" * size
    async with connect(server, "/ws/echo") as ws:
        await ws.send(message)
        assert await ws.recv() == message


@pytest.mark.parametrize("kind", PLAIN)
async def test_big_messages_pass_on_plain_servers(server):
    async with connect(server, "/ws/echo") as ws:
        for message in ("ü" * 100_000, b"\xff" * 200_000):
            await ws.send(message)
            assert await ws.recv() == message


@on_known_servers
@pytest.mark.parametrize("kind_of_message", ["text", "bytes"])
async def test_a_message_over_the_limit_is_not_sent_and_leaves_the_socket_usable(server, kind_of_message):
    async with connect(server, f"/ws/blob?size={1024 * 1024}&kind={kind_of_message}") as ws:
        assert len(await ws.recv()) == 1024 * 1024
    async with connect(server, f"/ws/blob?size={1024 * 1024 + 1}&kind={kind_of_message}") as ws:
        assert await ws.recv_json() == {"size": 1024 * 1024 + 1, "limit": 1024 * 1024}


@on_known_servers
async def test_a_thousand_messages_arrive_in_order_both_ways(server):
    async with connect(server, "/ws/echo") as ws:
        for number in range(1000):
            await ws.send(str(number))
        assert [await ws.recv() for _ in range(1000)] == [str(number) for number in range(1000)]


@on_known_servers
async def test_a_fragmented_message_arrives_whole(server):
    async with connect(server, "/ws/echo") as ws:
        await ws.send(["gr", "öße", "", " ✓"])
        assert await ws.recv() == "größe ✓"


# ── Close codes ─────────────────────────────────────────────────────────────────────────────────────────────────────


@on_known_servers
@pytest.mark.parametrize("code", CODES)
async def test_the_client_sees_the_code_and_reason_of_the_handler(server, code):
    name = token()
    async with connect(server, f"/ws/ending/close?code={code}&reason=tschüß ✓&token={name}") as ws:
        await ws.send("now")
        assert await ws.closed() == (code, "tschüß ✓")
    assert await report(server, name) == {"code": code, "reason": "tschüß ✓", "state": 3, "closed": True}


@on_known_servers
@pytest.mark.parametrize("code", CODES)
async def test_the_handler_sees_the_code_and_reason_of_the_client(server, code):
    name = token()
    async with connect(server, f"/ws/watch/receive/{name}") as ws:
        assert await ws.recv() == "watching"
        await ws.close(code, "tschüß ✓")
    expected = {"code": code, "reason": "tschüß ✓"}
    assert await report(server, name) == {**expected, "raised": expected, "got": [], "state": 3, "closed": True}


@pytest.mark.parametrize(  # hypercorn does not tell
    ("kind", "seen"), [("hypercorn", 1006), ("hypercorn-worker", 1006), ("granian", 4001)]
)
async def test_close_codes_pass_on_plain_servers(server, seen):
    async with connect(server, "/ws/ending/close?code=4000&reason=enough&token=" + token()) as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == 4000
    name = token()
    async with connect(server, f"/ws/watch/receive/{name}") as ws:
        assert await ws.recv() == "watching"
        await ws.close(4001)
    assert (await report(server, name))["code"] == seen


@on_known_servers
async def test_a_close_frame_without_a_code_is_1005(server):
    name = token()
    async with connect(server, f"/ws/watch/receive/{name}") as ws:
        assert await ws.recv() == "watching"
        ws.transport.write(b"\x88\x80\x00\x00\x00\x00")  # masked, with an empty body
        assert await ws.closed() in [(1005, ""), (1006, ""), (1000, "")]  # what servers answer differs
    facts = await report(server, name)
    assert (facts["code"], facts["reason"]) == (1005, "")


@pytest.mark.parametrize(("kind", "code"), [*[(kind, 1006) for kind in [*KNOWN, "hypercorn"]], ("granian", 1005)])
@pytest.mark.parametrize("how", ["for", "receive"])
async def test_a_cut_connection_is_1006_where_the_server_can_tell(server, how, code):
    name = token()
    ws = await connect(server, f"/ws/watch/{how}/{name}")
    assert await ws.recv() == "watching"
    await ws.send("last words")
    assert await answered(ws)
    abort(ws)
    facts = await report(server, name)
    assert (facts["got"], facts["code"], facts["reason"], facts["state"]) == (["last words"], code, "", 3)


async def answered(ws: Any) -> bool:
    """Whether the server has read all that was sent before."""
    return bool(await asyncio.wait_for(await ws.ping(), LIMIT))


@on_known_servers
async def test_what_a_client_sent_before_it_left_is_received(server):
    name = token()
    async with connect(server, f"/ws/late/{name}") as ws:
        await ws.recv()
        for number in range(3):
            await ws.send(str(number))
        leaving = asyncio.create_task(ws.close())  # a server that is not read from does not answer
        await denial(server, f"/ws/go/{name}")
        await leaving
    assert await report(server, name) == {"got": ["0", "1", "2"], "code": 1000}


@on_known_servers
@pytest.mark.parametrize(
    ("how", "raised"), [("for", None), ("receive", {"code": 4100, "reason": "bye"}), ("state", None)]
)
async def test_a_handler_that_receives_ends_after_its_client_has_left(server, how, raised):
    name = token()
    async with connect(server, f"/ws/watch/{how}/{name}") as ws:
        assert await ws.recv() == "watching"
        await ws.close(4100, "bye")
    facts = await report(server, name)
    assert facts["raised"] in (raised, {"code": 4100, "reason": "bye"} if how == "state" else None)
    assert (facts["code"], facts["reason"], facts["state"]) == (4100, "bye", 3)


@on_known_servers
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("how", ["poll", "send"])
async def test_a_handler_that_never_receives_ends_after_its_client_has_gone(server, how, cut):
    name = token()
    ws = await connect(server, f"/ws/watch/{how}/{name}")
    assert await ws.recv() == "watching"
    if cut:
        abort(ws)
    else:
        await ws.close(4100, "bye")
    facts = await report(server, name)
    code, reason = (1006, "") if cut else (4100, "bye")
    assert (facts["code"], facts["reason"], facts["state"], facts["closed"]) == (code, reason, 3, True)


@on_known_servers
async def test_a_send_to_a_client_that_has_left_raises_how_it_left(server):
    name = token()
    async with connect(server, f"/ws/watch/send/{name}") as ws:
        assert await ws.recv() == "watching"
        await ws.close(4100, "bye")
    assert (await report(server, name))["raised"] == {"code": 4100, "reason": "bye"}


# ── Beginnings ──────────────────────────────────────────────────────────────────────────────────────────────────────


@on_all_servers
@pytest.mark.parametrize("how", ["close", "close with a code", "exception", "return", "disconnect"])
async def test_a_handler_that_does_not_accept_denies_with_403(server, how):
    start = server.log_size()
    assert (await denial(server, f"/ws/opening/{how}"))[0] == 403
    assert not tracebacks(server.log(start))


@on_all_servers
async def test_an_error_before_accept_denies_with_500_and_is_logged_once(server):
    names, start = [token() for _ in range(3)], server.log_size()
    for name in names:
        assert (await denial(server, f"/ws/opening/error?token={name}"))[0] == 500
    assert tracebacks(server.log(start)) == [f"RuntimeError: on purpose: {name}" for name in names]


@on_known_servers
async def test_a_client_that_leaves_before_it_is_accepted_ends_the_handler_quietly(server):
    name, start = token(), server.log_size()
    _, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(
        f"GET /ws/waiting/{name} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    async with connect(server, "/ws/echo"):  # its handshake comes after the other's
        writer.transport.abort()
    await denial(server, f"/ws/go/{name}")
    assert await report(server, name) == {"raised": "WebSocketDisconnect", "code": 1006}
    assert not tracebacks(server.log(start))


@on_all_servers
@pytest.mark.parametrize(
    ("offered", "chosen"), [(["chat", "other"], "other"), (["chat"], "chat"), (["chat"], None), ([], None)]
)
async def test_a_subprotocol_that_was_offered_can_be_accepted(server, offered, chosen):
    path = f"/ws/offer?choose={chosen}" if chosen else "/ws/offer"
    async with connect(server, path, subprotocols=offered or None) as ws:
        assert ws.subprotocol == chosen
        assert await ws.recv_json() == {"subprotocol": chosen}


@on_all_servers
@pytest.mark.parametrize(("offered", "says"), [(["chat", "other"], "'chat', 'other'"), ([], "none")])
async def test_a_subprotocol_that_was_not_offered_raises_and_another_can_be_accepted(server, offered, says):
    async with connect(server, "/ws/offer?choose=news", subprotocols=offered or None) as ws:
        assert ws.subprotocol is None
        text = await ws.recv()
        assert text.startswith(f"accept(subprotocol='news'): the client offered {says};")


@pytest.mark.parametrize("kind", [*KNOWN, "hypercorn"])  # granian drops them
async def test_the_headers_of_accept_reach_the_client(server):
    async with connect(server, "/ws/accept-headers") as ws:
        assert ws.response.headers["X-One"] == "1"
        assert ws.response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


@on_all_servers
@pytest.mark.parametrize(
    "path", ["/", "/ws", "/ws/", "/nothing/here", "/ws/echo/", "/ws//echo", "/ws/about/two/words", "/größe"]
)
async def test_an_unknown_path_is_404(server, path):
    assert await denial(server, path) == (404, b"Not Found")


@on_all_servers
@pytest.mark.parametrize(
    ("query", "says"),
    [("", "query parameter 'size' is required"), ("?size=big", "query parameter 'size'")],
)
async def test_a_query_parameter_that_does_not_fit_is_400(server, query, says):
    status, body = await denial(server, "/ws/blob" + query)
    assert status == 400
    assert says in body.decode()


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_all_servers
async def test_returning_closes_with_1000(server):
    async with connect(server, "/ws/ending/return") as ws:
        await ws.send("now")
        assert await ws.closed() == (1000, "")


@on_known_servers
@pytest.mark.parametrize("how", ["exception", "group"])
async def test_a_websocket_exception_closes_with_its_code_and_reason(server, how):
    async with connect(server, f"/ws/ending/{how}?code=1008&reason=größer") as ws:
        await ws.send("now")
        assert await ws.closed() == (1008, "größer")


@on_all_servers
async def test_any_other_exception_closes_with_1011_and_is_logged_once(server):
    names, start = [token() for _ in range(3)], server.log_size()
    for name in names:
        async with connect(server, f"/ws/ending/error?token={name}") as ws:
            await ws.send("now")
            assert (await ws.closed())[0] == 1011
    # The servers look for ended applications later: another connection shows that nothing is logged then, either.
    async with connect(server, "/ws/echo") as ws:
        await answered(ws)
    log = server.log(start)
    assert tracebacks(log) == [f"RuntimeError: on purpose: {name}" for name in names]
    assert "tests.site.sockets.ending() failed on '/ws/ending/error'" in log


@pytest.mark.parametrize("kind", ["runws_server", "daphne"])
async def test_an_exception_is_told_at_once_where_daphne_by_itself_looks_for_errors_once_a_second(serve, kind):
    server = serve(kind, app="tests.site.unchecked:application")  # it looks no more
    assert (await denial(server, f"/ws/opening/error?token={token()}"))[0] == 500
    async with connect(server, f"/ws/ending/error?token={token()}") as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == 1011


@on_all_servers
async def test_a_disconnect_that_is_not_caught_is_quiet(server):
    name, start = token(), server.log_size()
    async with connect(server, f"/ws/careless/{name}"):
        pass
    await report(server, name)
    assert not tracebacks(server.log(start))


@on_known_servers
async def test_a_cancelled_handler_closes_with_1001(server):
    async with connect(server, "/ws/ending/cancel?token=" + token()) as ws:
        await ws.send("now")
        assert (await ws.closed())[0] == 1001
    # What some servers log of it comes after the close, and is not the next test's.
    async with connect(server, "/ws/echo") as ws:
        await answered(ws)


@on_known_servers
async def test_a_close_by_another_task_ends_the_receiving(server):
    name = token()
    async with connect(server, f"/ws/closed-from-beside/{name}") as ws:
        await ws.send("now")
        assert await ws.closed() == (4321, "from beside")
    assert await report(server, name) == {"got": [], "code": 4321, "reason": "from beside"}


# ── Ping ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_known_servers
async def test_a_ping_returns_the_round_trip_in_seconds(server):
    async with connect(server, "/ws/ping") as ws:
        for _ in range(3):
            answer = await ws.ask("ping")
            assert 0 < answer["seconds"] <= answer["at most"] < LIMIT


@on_known_servers
async def test_a_ping_ends_with_the_connection(server):
    name = token()
    _, writer = await asyncio.open_connection(HOST, server.port)
    writer.write(
        f"GET /ws/ping/{name} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    async with connect(server, "/ws/echo") as ws:  # its handshake comes after the other's
        await ws.send("x")
        await ws.recv()
    writer.transport.abort()
    async with asyncio.timeout(LIMIT):
        assert await report(server, name) == {"raised": "WebSocketDisconnect", "code": 1006}


@pytest.mark.parametrize("kind", PLAIN)
async def test_a_ping_says_where_it_cannot(server):
    async with connect(server, "/ws/ping") as ws:
        assert "this server gives no way to ping" in (await ws.ask("ping"))["raised"]


@on_all_servers
async def test_the_server_answers_pings(server):
    async with connect(server, "/ws/echo") as ws:
        assert await answered(ws)


# ── About the connection ────────────────────────────────────────────────────────────────────────────────────────────


@on_all_servers
async def test_a_handler_knows_its_request(server):
    headers = [("X-Custom", "own"), ("X-Twice", "a"), ("X-Twice", "b"), ("Cookie", "one=1; two=zwei")]
    path = "/ws/about/gr%C3%B6%C3%9Fe?q=1&q=a+b%26c&number=7"
    async with connect(server, path, additional_headers=headers) as ws:
        facts = await ws.recv_json()
        host, port = ws.local_address[:2]
    assert facts["header"] == "own"
    assert facts["headers"] in (["a", "b"], ["a,b"], ["a, b"])  # daphne joins them
    assert facts["cookies"] == {"one": "1", "two": "zwei"}
    assert (facts["query"], facts["number"], facts["params"]) == (["1", "a b&c"], 7, {"word": "größe"})
    assert facts["url"] == server.url(path)
    assert facts["client"] == facts["remote"] == [host, port]
    assert facts["local"] == [HOST, server.port]
    assert facts["tags"] == ["site", "sockets", "about"]
    assert (facts["user"], facts["session"]) == ("AnonymousUser", None)
    assert len(facts["id"]) == 32


@pytest.mark.parametrize("kind", [kind for kind in KNOWN + PLAIN if kind != "uvicorn-websockets"])  # it answers 500
async def test_a_header_that_is_not_ascii_is_latin_1(server):
    async with connect(server, "/ws/about/me", additional_headers={"X-Custom": "größer"}) as ws:
        assert (await ws.recv_json())["header"] == "größer"


@on_all_servers
async def test_a_handler_knows_who_is_logged_in(server, site_database):
    cookie = f"sessionid={site_database.session_key}"
    async with connect(server, "/ws/about/me", additional_headers={"Cookie": cookie}) as ws:
        facts = await ws.recv_json()
    assert (facts["user"], facts["session"]) == ("ada", site_database.session_key)


@on_known_servers
async def test_no_two_connections_have_the_same_id(server):
    ids = set()
    for _ in range(20):
        async with connect(server, "/ws/about/me") as ws:
            ids.add((await ws.recv_json())["id"])
    assert len(ids) == 20


# ── HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def get(server: ASGIServer, path: str) -> Any:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
        server.http_url(path), timeout=LIMIT
    ) as answer:
        return answer.read().decode()


@on_all_servers
def test_http_is_served_by_django(server):
    assert get(server, "/hello/") == "hello"


@on_all_servers
async def test_a_websocket_path_over_http_is_djangos_404(server):
    with pytest.raises(urllib.error.HTTPError) as caught:
        await asyncio.to_thread(get, server, "/ws/echo")
    assert caught.value.code == 404
    caught.value.close()


async def test_runserver_serves_http_static_files_and_websockets(serve, site_database):
    server = serve("runserver", environment={"TEST_DEBUG": "1", **site_database.environment})
    assert await asyncio.to_thread(get, server, "/hello/") == "hello"
    assert "teal" in await asyncio.to_thread(get, server, "/static/site/style.css")
    async with connect(server, "/ws/echo", origin=f"http://{HOST}:{server.port}") as ws:
        await ws.send("größe")
        assert await ws.recv() == "größe"
    assert not tracebacks(server.log())


@on_all_servers
async def test_a_slow_http_request_does_not_stop_a_socket(server):
    async with connect(server, "/ws/echo") as ws:
        await asyncio.gather(*(asyncio.to_thread(get, server, "/hello/") for _ in range(3)), ws.ask([json.dumps({})]))


# ── Bounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_known_servers
async def test_a_handler_that_sends_to_a_client_that_reads_nothing_has_to_wait(server):
    name = token()
    async with connect(server, f"/ws/pour/{name}?megabytes=48", ping_interval=None, close_timeout=0.1) as ws:
        ws.transport.pause_reading()
        sent = (await report(server, name))["sent"]
        abort(ws)
    assert sent < 32


@pytest.mark.parametrize("kind", ["runws_server", "daphne", "uvicorn"])
async def test_nothing_is_left_of_connections_that_have_gone(server):
    async def left() -> dict[str, int]:
        async with connect(server, "/ws/inspect") as ws:
            facts = await ws.ask({"collect": True})
            return {"sockets": facts["sockets"], "tasks": facts["tasks"]}

    async def one(number: int) -> None:
        async with connect(server, f"/ws/room/{number % 3}") as ws:
            await ws.send("x")
            await ws.recv()
            if number % 2:
                abort(ws)

    before = await left()
    await asyncio.gather(*(one(number) for number in range(100)))

    async def as_before() -> bool:
        return all(now <= before[what] for what, now in (await left()).items())

    await until(as_before, f"as few as before, {before},")


# ── Many at once ────────────────────────────────────────────────────────────────────────────────────────────────────


@on_known_servers
async def test_a_hundred_connections_come_and_go(server):
    async def one(number: int) -> None:
        async with connect(server, "/ws/echo") as ws:
            for turn in range(3):
                await ws.send(f"{number}.{turn}")
                assert await ws.recv() == f"{number}.{turn}"
            if number % 3 == 0:
                abort(ws)

    async with asyncio.TaskGroup() as tasks:
        for number in range(100):
            tasks.create_task(one(number))


@on_known_servers
async def test_compression_is_transparent(server):
    async with connect(server, "/ws/echo", compression="deflate") as ws:
        for message in ("ü" * 5000, b"\x00" * 5000, "", b""):
            await ws.send(message)
            assert await ws.recv() == message
