"""The host and the port of a URL."""

from __future__ import annotations

import pytest

from django_fastws._core.authority import split_url


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("wss://example.com", "example.com", None),
        ("wss://example.com:", "example.com", None),
        ("ws://EXAMPLE.com:81/path?a=b:c", "example.com", 81),
        ("ws://[::1]", "::1", None),
        ("ws://[::1]:8000/", "::1", 8000),
        ("ws://user:pass@[::1]:8000/", "::1", 8000),
        ("ws://user:pass@example.com:0", "example.com", 0),
        ("/only/a/path", None, None),
    ],
)
def test_the_host_and_the_port(url, host, port):
    parts = split_url(url)
    assert (parts.hostname, parts.port) == (host, port)


@pytest.mark.parametrize(
    "authority",
    ["[::1]]", "[[::1]", "[::1", "::1]", "::1", "[::1]x", "x[::1]", "[]", "a:b", "a:1:2", "a:-1", "a:+1", "a:65536"],
)
@pytest.mark.parametrize("user", ["", "user@"])
def test_what_is_beside_the_host_is_refused(user, authority):
    with pytest.raises(ValueError, match=r"host|[Pp]ort|IPv6"):
        split_url(f"ws://{user}{authority}/")
