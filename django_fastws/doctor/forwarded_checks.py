"""Judgement of what the server has seen of a client: its address, its scheme, the host that it asked for."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

from .result import CheckResult, failed, ok, skipped, warning
from .target import Target

__all__ = ["SPOOFED", "judge_address", "judge_host", "judge_scheme", "judge_spoofed"]

#: An address that nobody has (RFC 5737), which the doctor claims to be forwarded for.
SPOOFED = "192.0.2.123"

_HOPS = "Start runws_server with --forwarded-hops N, N being the number of proxies (daphne, uvicorn: --proxy-headers)"
_PASS_ADDRESS = "Have the proxy send it. nginx: proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
_PASS_SCHEME = "Have the proxy send X-Forwarded-Proto. nginx: proxy_set_header X-Forwarded-Proto $scheme;"


def judge_address(seen: Mapping[str, Any], local: tuple[str, int]) -> CheckResult:
    """Whether the server has seen the client's address, and not a proxy's.

    Args:
        seen: by the server.
        local: address and port of the doctor's own end of the connection.
    """
    check = "forwarded address"
    client = seen.get("client")
    if not client:
        return skipped(
            check,
            "The server tells no address of its clients: it listens on a Unix socket.",
            f"{_HOPS}.",
        )
    host, port = str(client[0]), int(client[1])
    entries = _entries(seen)
    if (host, port) == local:
        return ok(check, f"The client is seen as {host}, with its own port: nothing stands between.")
    if entries:
        if any(_is_entry(entry, host, port, _header(seen, "x-forwarded-port")) for entry in entries):
            return ok(check, f"The client is seen as {host}, as X-Forwarded-For says.")
        return failed(
            check,
            f"A proxy says that the client is {entries[-1]}, and the server does not believe it: it sees {host}, so "
            "limits of one address count everybody.",
            f"{_HOPS}.",
        )
    if host == local[0] or _is_inside(host):
        is_nat = _is_inside(local[0]) and host != local[0] and not _is_loopback(host)
        judge = warning if is_nat else failed
        return judge(
            check,
            f"The client is seen as {host}, from another port than its own, and no X-Forwarded-For has arrived: "
            "a proxy stands between, and hides who the client is.",
            f"{_PASS_ADDRESS} Then {_HOPS[:1].lower()}{_HOPS[1:]}.",
        )
    return ok(check, f"The client is seen as {host}, which is the address of this machine from outside.")


def judge_spoofed(seen: Mapping[str, Any], *, is_beside: bool) -> CheckResult:
    """Whether the server believes what a client has written into X-Forwarded-For.

    Args:
        is_beside: whether the doctor has come from the same machine, and through no proxy: then it may be taken for
            the proxy that is believed.
    """
    check = "forged address"
    client = seen.get("client")
    if client and str(client[0]) == SPOOFED and is_beside:
        return warning(
            check,
            f"What this machine itself writes into X-Forwarded-For is believed ({SPOOFED}), as that of a proxy.",
            "Look from another machine, through the proxy; where there is none, use --forwarded-hops 0, and uvicorn "
            "--no-proxy-headers.",
        )
    if client and str(client[0]) == SPOOFED:
        return failed(
            check,
            f"A client that writes X-Forwarded-For: {SPOOFED} is taken for that address: everybody can be anybody.",
            "Give --forwarded-hops the number of proxies that there are, 0 where there is none; have other servers "
            "believe the header from the address of the proxy only.",
        )
    return ok(check, "What a client writes into X-Forwarded-For is not believed.")


def judge_scheme(seen: Mapping[str, Any], target: Target) -> CheckResult:
    """Whether the server knows that the client has TLS, or has none."""
    check = "forwarded scheme"
    scheme = str(seen.get("scheme"))
    wanted = "wss" if target.is_secure else "ws"
    if scheme in (wanted, "https" if target.is_secure else "http"):
        return ok(check, f"The server sees {scheme}, as the client does.")
    told = _header(seen, "x-forwarded-proto")
    if told:
        what = f"The client has {wanted}, a proxy says {told}, and the server sees {scheme}."
        return failed(check, what, f"{_HOPS}, and have the outermost proxy set the header, and not pass on another.")
    return failed(check, f"The client has {wanted}, and the server sees {scheme}.", f"{_PASS_SCHEME} {_HOPS}.")


def judge_host(seen: Mapping[str, Any], target: Target, *, uses_forwarded_host: bool) -> CheckResult:
    """Whether the server sees the host that the client has asked for, by which origins and ALLOWED_HOSTS go.

    Args:
        uses_forwarded_host: the setting USE_X_FORWARDED_HOST.
    """
    check = "forwarded host"
    host = _header(seen, "host")
    if uses_forwarded_host:
        host = _header(seen, "x-forwarded-host") or host
    if host.lower() in (target.authority, target.host, f"{target.host}:{target.port}", f"[{target.host}]"):
        return ok(check, f"The server sees the host {host}, as the client does.")
    return warning(
        check,
        f"The client has asked for {target.authority}, and the server sees {host or 'no host'}: origins and "
        "ALLOWED_HOSTS are compared with that.",
        "Have the proxy pass the Host on. nginx: proxy_set_header Host $host; or set USE_X_FORWARDED_HOST.",
    )


def _header(seen: Mapping[str, Any], name: str) -> str:
    headers = seen.get("headers")
    return str(headers.get(name, "")) if isinstance(headers, Mapping) else ""


def _entries(seen: Mapping[str, Any]) -> list[str]:
    return [entry.strip() for entry in _header(seen, "x-forwarded-for").split(",") if entry.strip()]


def _is_entry(entry: str, host: str, port: int, port_asked_for: str) -> bool:
    """Whether an entry of the header is what the server has seen.

    Servers know no port by it, unless it has one; daphne takes X-Forwarded-Port for that. On one machine, a proxy has
    the address of the client, and what tells them apart is the port.
    """
    if entry in (f"{host}:{port}", f"[{host}]:{port}"):
        return True
    return entry.strip("[]") == host and (port == 0 or str(port) == port_asked_for or not _is_loopback(host))


def _is_inside(address: str) -> bool:
    try:
        return ip_address(address).is_private
    except ValueError:
        return True


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
