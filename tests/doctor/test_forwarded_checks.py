"""What the server should have seen of a client, behind proxies and without."""

import pytest

from django_fastws.doctor.forwarded_checks import SPOOFED, judge_address, judge_host, judge_scheme, judge_spoofed
from django_fastws.doctor.target import parse_target

LOCAL = ("127.0.0.1", 50_000)
OUTSIDE = ("8.8.8.8", 50_000)


def seen(client=None, scheme="ws", **headers):
    return {
        "client": client,
        "scheme": scheme,
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
    }


ADDRESSES = {
    "direct": (seen(["127.0.0.1", 50_000]), LOCAL, "ok"),
    "believed": (seen(["127.0.0.1", 0], x_forwarded_for="127.0.0.1"), LOCAL, "ok"),
    "believed, with a port": (seen(["127.0.0.1", 50_000], x_forwarded_for="127.0.0.1:50000"), LOCAL, "ok"),
    "believed, IPv6": (seen(["2001:db8::1", 0], x_forwarded_for="2001:db8::1"), OUTSIDE, "ok"),
    "not believed, on one machine": (seen(["127.0.0.1", 40_000], x_forwarded_for="127.0.0.1"), LOCAL, "failed"),
    "not believed": (seen(["10.0.0.1", 40_000], x_forwarded_for="8.8.8.8"), OUTSIDE, "failed"),
    "the first of two is a client's": (
        seen(["10.0.0.1", 40_000], x_forwarded_for="8.8.8.8, 10.0.0.2"),
        OUTSIDE,
        "failed",
    ),
    "a proxy that is silent, on one machine": (seen(["127.0.0.1", 40_000]), LOCAL, "failed"),
    "a proxy that is silent": (seen(["10.0.0.1", 40_000]), OUTSIDE, "failed"),
    "within one network, through NAT or a proxy": (seen(["10.0.0.1", 40_000]), ("10.0.0.9", 1), "warning"),
    "through NAT": (seen(["8.8.8.8", 40_000]), ("192.168.1.2", 1), "ok"),
    "a Unix socket": (seen(None), LOCAL, "skipped"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_the_address_of_the_client(case):
    what, local, status = ADDRESSES[case]
    result = judge_address(what, local)
    assert result.status == status
    assert bool(result.hint) == (status != "ok")


def test_a_forged_address_is_not_believed():
    assert judge_spoofed(seen([SPOOFED, 0]), is_beside=False).status == "failed"
    assert judge_spoofed(seen([SPOOFED, 0]), is_beside=True).status == "warning"
    assert judge_spoofed(seen(["127.0.0.1", 0]), is_beside=True).status == "ok"


@pytest.mark.parametrize(
    ("url", "scheme", "told", "status"),
    [
        ("ws://a.example/", "ws", "", "ok"),
        ("wss://a.example/", "wss", "https", "ok"),
        ("wss://a.example/", "ws", "https", "failed"),
        ("wss://a.example/", "ws", "", "failed"),
        ("ws://a.example/", "wss", "https", "failed"),
    ],
)
def test_the_scheme_of_the_client(url, scheme, told, status):
    headers = {"x_forwarded_proto": told} if told else {}
    assert judge_scheme(seen(scheme=scheme, **headers), parse_target(url, None)).status == status


@pytest.mark.parametrize(
    ("host", "forwarded", "uses", "status"),
    [
        ("a.example:8000", "", False, "ok"),
        ("A.example", "", False, "ok"),
        ("backend", "", False, "warning"),
        ("backend", "a.example:8000", False, "warning"),
        ("backend", "a.example:8000", True, "ok"),
    ],
)
def test_the_host_that_was_asked_for(host, forwarded, uses, status):
    headers = {"host": host, **({"x_forwarded_host": forwarded} if forwarded else {})}
    target = parse_target("ws://a.example:8000/", None)
    assert judge_host(seen(**headers), target, uses_forwarded_host=uses).status == status
