"""Connections to Redis: TLS, passwords, Sentinel, and what is no Redis."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import signal
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from django_fastws import Room, WebSocketConnectionError
from django_fastws.layer import check_layer, layer_status
from tests.contract.implementations import Sentinel
from tests.e2e.test_rooms import subscriptions
from tests.layer.inside import Inside, is_lost, is_reachable, texts
from tests.site.client import until
from tests.support.processes import HOST, RedisServer, free_port
from tests.support.tcp import tcp_server

pytestmark = [pytest.mark.faults, pytest.mark.redis]


async def test_what_is_no_redis_is_out_of_reach(settings):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while await reader.read(1000):
                writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    async with tcp_server(babble) as port:
        inside = Inside(settings, f"redis://{HOST}:{port}")
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            with pytest.raises(WebSocketConnectionError, match="cannot broadcast: the channel layer is out of reach"):
                await broadcast("x")
        await inside.close()


async def test_a_wrong_password_is_out_of_reach_and_is_not_told(settings, caplog):
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    with RedisServer("--requirepass", "secret") as server:
        inside = Inside(settings, server.url.replace("//", "//:wr0ng@"))
        for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
            with pytest.raises(WebSocketConnectionError, match="invalid username-password") as caught:
                await broadcast("x")
            assert "wr0ng" not in str(caught.value) + caplog.text
        await inside.close()


def certificate(directory: Path) -> tuple[str, str]:
    """The files of a certificate for this machine, which is its own authority, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = directory / "certificate.pem", directory / "key.pem"
    certificate_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_path), str(key_path)


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[tuple[RedisServer, int, str]]:
    """A Redis with a password and TLS, the port of the latter, and the authority's certificate."""
    certificate_path, key_path = certificate(tmp_path)
    port = free_port()
    files = ["--tls-cert-file", certificate_path, "--tls-key-file", key_path, "--tls-auth-clients", "no"]
    server = RedisServer("--requirepass", "secret", "--tls-port", str(port), *files)
    try:
        server.start()
    except RuntimeError as error:
        server.directory.cleanup()
        if "tls" in str(error).lower().rpartition("fatal config")[2]:
            pytest.skip("this redis-server was built without TLS")
        raise
    yield server, port, certificate_path
    server.stop()
    server.directory.cleanup()


async def test_tls_and_a_password(settings, tls_redis):
    server, port, authority = tls_redis
    url = f"rediss://:secret@{HOST}:{port}?ssl_ca_certs={authority}"
    inside = Inside(settings, url)
    ada = await inside.member("r")
    big = "x" * 500_000
    for _ in (1, 2):
        await asyncio.gather(*(Room("r").abroadcast(f"{number}") for number in range(20)), Room("r").abroadcast(big))
        await asyncio.to_thread(Room("r").broadcast, big)
        assert await texts(ada, 22) == [*(f"{number}" for number in range(20)), big, big]
        await check_layer()
        server.stop(signal.SIGKILL)
        await until(is_lost, "the loss")
        server.start()
        await until(is_reachable, "the return")
    await inside.close()
    settings.FASTWS_PUBLISH_RETRY_SECONDS = 0.3
    stranger = Inside(settings, f"rediss://:secret@{HOST}:{port}")
    for broadcast in (Room("r").abroadcast, lambda text: asyncio.to_thread(Room("r").broadcast, text)):
        with pytest.raises(WebSocketConnectionError, match="certificate verify failed"):
            await broadcast("x")
    await stranger.close()


async def test_sentinel_names_another_master(settings):
    with (
        RedisServer() as master,
        RedisServer("--replicaof", HOST, str(master.port)) as replica,
        Sentinel(master.port, 300) as sentinel,
    ):
        sentinel.wait_for_replica()
        inside = Inside(settings, sentinel.host)
        ada = await inside.member("r")
        await Room("r").abroadcast("loop")
        await asyncio.to_thread(Room("r").broadcast, "thread")
        assert await texts(ada, 2) == ["loop", "thread"]
        master.stop(signal.SIGKILL)
        await until(is_lost, "the loss")
        assert layer_status().error == "Redis at main has closed the connection"
        await asyncio.gather(Room("r").abroadcast("held"), asyncio.to_thread(Room("r").broadcast, "held"))
        assert await texts(ada, 2) == ["held"] * 2
        with redis.Redis(HOST, replica.port) as successor:
            assert subscriptions(successor, "r") == 1
        await inside.close()
