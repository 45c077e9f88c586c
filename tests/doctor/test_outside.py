"""An installation that is looked at from outside, without its layer."""

import websockets

from django_fastws.doctor.outside import look_from_outside
from tests.doctor.peers import answering, http
from tests.support.processes import free_port


async def looked_at(url, idle=None):
    results = []
    await look_from_outside(url, idle, is_layer_usable=False, report=results.append)
    return {result.check: result for result in results}


async def test_a_url_that_is_none():
    results = await looked_at("localhost:8000")
    assert results["url"].status == "failed"
    assert {result.status for check, result in results.items() if check != "url"} == {"skipped"}


async def test_a_server_that_is_away():
    results = await looked_at(f"ws://127.0.0.1:{free_port()}/")
    assert results["handshake"].status == "failed"
    assert {result.status for check, result in results.items() if check != "handshake"} == {"skipped"}


async def test_a_url_of_http_is_understood_and_warned_of():
    results = await looked_at(f"http://127.0.0.1:{free_port()}/")
    assert results["url"].status == "warning"
    assert "ws://" in results["url"].hint


async def test_a_site_that_lets_every_origin_in():
    async def handler(ws):
        await ws.wait_closed()

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        results = await looked_at(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 0.1)
    assert results["handshake"].status == "ok"
    assert results["origin"].status == "failed"
    assert "FASTWS_ALLOWED_ORIGINS" in results["origin"].hint
    assert results["idle"].status == "ok"
    assert results["forwarded address"].status == "skipped"


async def test_a_site_that_denies_its_own_origin():
    def deny(connection, request):
        return connection.respond(403, "Forbidden\n") if "Origin" in request.headers else None

    async def handler(ws):
        await ws.wait_closed()

    async with websockets.serve(handler, "127.0.0.1", 0, process_request=deny) as server:
        results = await looked_at(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert results["handshake"].status == "failed"
    assert results["origin"].status == "failed"
    assert "Host" in results["origin"].hint


async def test_a_socket_that_the_server_closes_is_no_fault_of_the_proxy():
    async def handler(ws):
        await ws.close(4408, "idle")

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        results = await looked_at(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 30)
    assert results["handshake"].status == "warning"
    assert results["idle"].status == "warning"
    assert "4408" in results["handshake"].detail
    assert "4408" in results["idle"].detail


async def test_a_socket_that_opens_and_fails_at_once_is_not_open():
    async def handler(ws):
        await ws.close(1011, "internal error")

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        results = await looked_at(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert results["handshake"].status == "failed"
    assert "1011" in results["handshake"].detail


async def test_a_socket_that_is_cut_names_the_proxy():
    async def handler(ws):
        ws.transport.abort()

    async with websockets.serve(handler, "127.0.0.1", 0) as server:
        results = await looked_at(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 30)
    assert results["handshake"].status == "failed"
    assert results["idle"].status == "failed"
    assert "proxy_read_timeout" in results["idle"].hint


async def test_what_is_no_websocket_server_has_no_socket_to_watch():
    async with answering(http("404 Not Found")) as port:
        results = await looked_at(f"ws://127.0.0.1:{port}/", 30)
    assert results["handshake"].status == "failed"
    assert results["idle"].status == "skipped"
