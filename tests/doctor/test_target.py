"""URLs at which an installation is looked at."""

import pytest

from django_fastws.doctor.target import TargetError, parse_target


@pytest.mark.parametrize(
    ("url", "expected", "site"),
    [
        ("ws://example.org/ws/live", "ws://example.org/ws/live", "http://example.org"),
        ("wss://example.org", "wss://example.org/ws/live", "https://example.org"),
        ("https://Example.org:443/", "wss://Example.org:443/ws/live", "https://example.org"),
        ("http://127.0.0.1:8000/chat?a=b", "ws://127.0.0.1:8000/chat?a=b", "http://127.0.0.1:8000"),
        ("WSS://[::1]:8443/x", "wss://[::1]:8443/x", "https://[::1]:8443"),
    ],
)
def test_what_is_dialed_and_from_which_site(url, expected, site):
    target = parse_target(url, "/ws/live")
    assert (target.url, target.site) == (expected, site)


@pytest.mark.parametrize(
    ("url", "port"), [("ws://a.example", 80), ("wss://a.example", 443), ("ws://a.example:8000", 8000)]
)
def test_the_port_follows_from_the_scheme(url, port):
    assert parse_target(url, None).port == port
    assert parse_target(url, None).url.endswith("/")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "127.0.0.1:8000",
        "ftp://example.org",
        "ws://",
        "ws:///path",
        "ws://[::1",
        "ws://a:99999/",
        "ws://u:p@a.example/",
        "ws://a.example/#b",
    ],
)
def test_what_is_no_url_of_a_socket_says_what_to_write(url):
    with pytest.raises(TargetError) as caught:
        parse_target(url, "/ws/live")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("url", "what", "instead"),
    [
        ("ws://", "has no host", "wss://example.org/ws/live"),
        ("ws:///path", "has no host", "wss://path"),
        ("example.org", "has no scheme", "wss://example.org"),
        ("ftp://example.org", "has the scheme 'ftp'", "wss://example.org"),
    ],
)
def test_what_is_missing_is_named(url, what, instead):
    with pytest.raises(TargetError, match=f"{what}.$") as caught:
        parse_target(url, None)
    assert caught.value.hint == f"Write --url {instead}."
