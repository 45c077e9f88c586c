"""Endpoints with TLS: which are ours, and what their files make of them. Real servers: test_endpoints.py."""

from __future__ import annotations

import ssl
from types import SimpleNamespace

import pytest
from OpenSSL import SSL
from twisted.internet import ssl as twisted_ssl

from django_fastws.server.tls_endpoint import TLSEndpoint
from tests.clients.certificates import Certificates

FACTORY = SimpleNamespace(acceptableProtocols=lambda: [b"h2", b"http/1.1"])


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize(
    ("endpoint", "is_ours"),
    [
        ("ssl:8443", True),
        ("ssl:port=8443:privateKey=key.pem:certKey=cert.pem:interface=::1", True),
        (r"ssl:8443:key.pem:interface=\:\:1", True),
        ("ssl:8443:key.pem:cert.pem:TLS_METHOD", False),
        ("ssl:8443:sslmethod=TLSv1_2_METHOD", False),
        ("ssl:8443:typo=x", False),
        ("ssl:https", False),
        ("ssl:", False),
        ("tcp:8443", False),
        ("haproxy:ssl:8443", False),
        ("ssl:8443:backlog=many", False),
    ],
)
def test_which_are_ours_to_open(endpoint, is_ours):
    endpoint = endpoint.replace("=::1", r"=\:\:1")
    assert (TLSEndpoint.of(endpoint) is not None) is is_ours


def context_of(endpoint: str) -> ssl.SSLContext:
    found = TLSEndpoint.of(endpoint)
    assert found is not None
    return found._context()


def test_it_is_as_strict_as_twisteds(certificates):
    context = context_of(f"ssl:0:{certificates.good}")
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    connection = SSL.Connection(twisted_ssl.CertificateOptions().getContext())
    assert {cipher["name"] for cipher in context.get_ciphers()} <= set(connection.get_cipher_list())


def chain_sent(context: ssl.SSLContext) -> list[str]:
    """The names on the certificates that a client gets."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD))
    client.set_connect_state()
    for _ in range(2):
        with pytest.raises(SSL.WantReadError):
            client.do_handshake()
        incoming.write(client.bio_read(1 << 16))
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        client.bio_write(outgoing.read())
        client.do_handshake()
        break
    return [found.subject.rfc4514_string() for found in client.get_peer_cert_chain(as_cryptography=True)]


def test_a_chain_is_sent_from_its_own_file_or_that_of_the_certificate(certificates, tmp_path):
    good, authority = certificates.good, certificates.authority
    whole = tmp_path / "whole.pem"
    whole.write_text(good.read_text() + authority.read_text())
    assert chain_sent(context_of(f"ssl:0:{good}")) == ["CN=good"]
    both = ["CN=good", "CN=Authority of the tests"]
    assert chain_sent(context_of(f"ssl:0:{good}:extraCertChain={authority}")) == both
    assert chain_sent(context_of(f"ssl:0:{good}:{whole}")) == both
    assert chain_sent(context_of(f"ssl:0:{good}:{whole}:extraCertChain={authority}")) == both


def test_files_that_cannot_be_used_are_named(certificates, tmp_path):
    good, other, empty = certificates.good, Certificates(tmp_path).good, tmp_path / "empty.pem"
    empty.write_text("")
    for endpoint, error, words in [
        (f"ssl:0:{tmp_path}/absent.pem", OSError, "absent.pem"),
        (f"ssl:0:{good}:{other}", ValueError, "is no certificate of the key"),
        (f"ssl:0:{empty}", ValueError, "empty.pem"),
        (f"ssl:0:{good}:extraCertChain={empty}", ValueError, "no certificate in PEM in"),
    ]:
        found = TLSEndpoint.of(endpoint)
        assert found is not None
        with pytest.raises(error, match=words):
            found.listen(FACTORY)
