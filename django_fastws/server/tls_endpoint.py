"""Endpoint with TLS: ``ssl:`` in Twisted's language, with the TLS of Python's ``ssl``."""

from __future__ import annotations

import re
import ssl
import tempfile
from pathlib import Path
from typing import Any

from daphne.server import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.endpoints import _parse as parse_endpoint

from .tls_transport import TLSFactory

__all__ = ["TLSEndpoint"]

#: In the order in which Twisted takes them without a name.
_OPTIONS = ("port", "privateKey", "certKey", "sslmethod", "interface", "backlog", "extraCertChain", "dhParameters")
#: Twisted's. Those of TLS 1.3 are OpenSSL's own.
_CIPHERS = (
    "ECDH+AESGCM:ECDH+CHACHA20:DH+AESGCM:DH+CHACHA20:ECDH+AES256:DH+AES256:ECDH+AES128:DH+AES:RSA+AESGCM:RSA+AES:"
    "!aNULL:!MD5:!DSS"
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\n.+?\n-----END CERTIFICATE-----\n?", re.DOTALL)


class TLSEndpoint:
    """Address on which the server listens with TLS.

    Args:
        port: to listen on.
        privateKey: path of a key in PEM.
        certKey: path of its certificate, and of those of authorities between that and the client's; that of the key
            if it is not given.
        interface: address to bind.
        backlog: how many connections may wait to be accepted.
        extraCertChain: path of certificates of authorities that are not in the file of the certificate.
        dhParameters: path of parameters for DHE.
    """

    def __init__(
        self,
        port: str,
        privateKey: str = "server.pem",
        certKey: str | None = None,
        interface: str = "",
        backlog: str = "50",
        extraCertChain: str | None = None,
        dhParameters: str | None = None,
    ) -> None:
        self._endpoint = TCP4ServerEndpoint(reactor, int(port), int(backlog), interface)
        self._key = Path(privateKey)
        self._certificate = self._key if certKey is None else Path(certKey)
        self._chain = None if extraCertChain is None else Path(extraCertChain)
        self._dh_parameters = None if dhParameters is None else Path(dhParameters)

    @classmethod
    def of(cls, endpoint: str) -> TLSEndpoint | None:
        """The endpoint of a description such as ``ssl:8443:privateKey=key.pem``; None if it is Twisted's to open.

        That is every one of another kind, one with another ``sslmethod``, which is for clients of old, and one that
        is wrong: Twisted says what it is.
        """
        try:
            arguments, options = parse_endpoint(endpoint)
        except (IndexError, ValueError):
            return None
        if arguments[:1] != ["ssl"] or len(arguments) > 1 + len(_OPTIONS):
            return None
        given = dict(zip(_OPTIONS, arguments[1:], strict=False)) | options
        numbers = [given.get("port", ""), given.get("backlog", "0")]
        if not given.keys() <= set(_OPTIONS) - {"sslmethod"} or not all(map(str.isdecimal, numbers)):
            return None
        return cls(**given)

    def listen(self, factory: Any) -> Any:
        """Listen; returns Twisted's deferred port.

        Args:
            factory: of the protocols above TLS.
        Raises:
            OSError, ValueError: a file cannot be used.
        """
        context = self._context()
        context.set_alpn_protocols([name.decode() for name in factory.acceptableProtocols()])
        return self._endpoint.listen(TLSFactory(context, factory))

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        # As Twisted's: sessions are not resumed, so nothing outlives them by which they could be read later.
        context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
        context.num_tickets = 0
        if self._dh_parameters is not None:
            context.load_dh_params(str(self._dh_parameters))
        for path in (self._key, self._certificate):
            path.read_bytes()  # the error of which names the file
        try:
            self._load_certificate(context)
        except ssl.SSLError as error:
            raise ValueError(f"{self._certificate} is no certificate of the key {self._key}: {error}") from None
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        if self._chain is None:
            context.load_cert_chain(self._certificate, self._key)
            return
        own, chain = (_CERTIFICATE.findall(path.read_text()) for path in (self._certificate, self._chain))
        if not chain:
            raise ValueError(f"there is no certificate in PEM in {self._chain}")
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write("\n".join([*own[:1], *chain]))
            file.flush()
            context.load_cert_chain(file.name, self._key)
