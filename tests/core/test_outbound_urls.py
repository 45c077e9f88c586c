"""Which URLs an outbound route takes, and how they look in a log."""

from __future__ import annotations

import re

import pytest

from django_fastws._core.outbound_urls import check_url, mask_secrets, mask_url

WEBSOCKET, HTTP = ("ws", "wss"), ("http", "https")


@pytest.mark.parametrize(
    ("url", "schemes"),
    [
        ("ws://example.com", WEBSOCKET),
        ("wss://example.com/", WEBSOCKET),
        ("WSS://Example.com:8443/feed?a=1&b=2", WEBSOCKET),
        ("ws://127.0.0.1:9000/größe", WEBSOCKET),
        ("ws://[::1]:9000/feed", WEBSOCKET),
        ("wss://user:word@example.com/feed", WEBSOCKET),
        ("ws://bücher.example/", WEBSOCKET),
        ("http://example.com/a#b", HTTP),
        ("https://example.com:444/", HTTP),
    ],
)
def test_it_is_taken_as_it_is(url, schemes):
    assert check_url(url, schemes) == url


@pytest.mark.parametrize(
    ("url", "schemes", "words"),
    [
        ("http://example.com/", WEBSOCKET, "'http://example.com/' must start with ws:// or wss://"),
        ("ws://example.com/", HTTP, "'ws://example.com/' must start with http:// or https://"),
        ("example.com/feed", WEBSOCKET, "must start with ws:// or wss://"),
        ("/feed", WEBSOCKET, "must start with ws:// or wss://"),
        ("", WEBSOCKET, "must start with ws:// or wss://"),
        ("ws:example.com", WEBSOCKET, "has no host"),
        ("ws:///feed", WEBSOCKET, "has no host"),
        ("ws://:80/feed", WEBSOCKET, "has no host"),
        ("ws://example.com:port/", WEBSOCKET, "malformed"),
        ("ws://example.com:70000/", WEBSOCKET, "malformed"),
        ("ws://[::1/", WEBSOCKET, "malformed"),
        ("ws://[::1]]/", WEBSOCKET, "malformed"),
        ("ws://[::1]x/", WEBSOCKET, "malformed"),
        ("ws://x[::1]/", WEBSOCKET, "malformed"),
        ("ws://example.com/a#b", WEBSOCKET, "fragment"),
        ("ws://example.com/a b", WEBSOCKET, "spaces or control characters"),
        ("ws://example.com/\n", WEBSOCKET, "spaces or control characters"),
        ("ws://example.com/\x00", WEBSOCKET, "spaces or control characters"),
        (b"ws://example.com/", WEBSOCKET, "a URL is a str such as wss://example.com/, not bytes"),
        (None, HTTP, "a URL is a str such as https://example.com/, not NoneType"),
    ],
)
def test_it_is_refused_with_words_that_help(url, schemes, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        check_url(url, schemes)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("ws://example.com", "ws://example.com"),
        ("ws://example.com/", "ws://example.com/"),
        ("wss://example.com:8443/feed/a", "wss://example.com:8443/feed/a"),
        ("wss://example.com/feed?token=abc", "wss://example.com/feed?***"),
        ("wss://example.com?token=abc", "wss://example.com?***"),
        ("wss://example.com/feed?", "wss://example.com/feed?***"),
        ("wss://ada:opensesame@example.com/feed", "wss://***@example.com/feed"),
        ("wss://opensesame@example.com", "wss://***@example.com"),
        ("wss://ada:open@sesame@example.com/", "wss://***@example.com/"),
        ("wss://ada:opensesame@[::1]:9000/feed", "wss://***@[::1]:9000/feed"),
        ("ws://[::1]:9000/feed", "ws://[::1]:9000/feed"),
        ("https://example.com/a#access_token=abc", "https://example.com/a"),
        ("wss://example.com/who/@me", "wss://example.com/who/@me"),
    ],
)
def test_mask(url, shown):
    assert mask_url(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "wss://ada:opensesame@example.com/feed",
        "wss://ada:open/sesame@example.com/feed",  # should be %2F: what is before it looks like a port
        "wss://ada:open?sesame@example.com/feed",
        "wss://ada:open#sesame@example.com/feed",
        "wss://ada:opensesame@example.com:port/feed",
        "wss://example.com/feed?token=opensesame",
        "http://example.com/feed?token=opensesame#sesame",
        "//ada:opensesame@example.com/",
        "ada:opensesame@example.com",
        "wss:ada:opensesame@example.com/feed",
        "wss://ada:opensesame@exam ple.com/feed",
    ],
)
def test_nothing_secret_is_shown_whatever_is_wrong_with_the_url(url):
    shown = [mask_url(url)]
    for schemes in (("none",), (*WEBSOCKET, *HTTP)):
        try:
            check_url(url, schemes)
        except ValueError as error:
            shown.append(str(error))
    assert not [text for text in shown if "open" in text or "sesame" in text]


@pytest.mark.parametrize(
    ("text", "url", "shown"),
    [
        ("no secrets here", "ws://example.com/", "no secrets here"),
        ("bad URL wss://h/x?token=abc it is", "wss://h/x?token=abc", "bad URL wss://h/x?*** it is"),
        ("bad query token=abc", "wss://h/x?token=abc", "bad query ***"),
        ("bad password opensesame", "wss://ada:opensesame@h/", "bad password ***"),
        ("bad user open sesame", "wss://open%20sesame@h/", "bad user ***"),
        ("a=1 of 11", "wss://h/x?1", "a=1 of 11"),  # too short to be looked for
        # Another URL: where a redirect leads, or a proxy.
        ("not to ws://other/y?token=xyz please", "wss://h/x?a", "not to ws://other/y?*** please"),
        ("via 'http://me:opensesame@proxy:1'", "wss://h/x", "via 'http://***@proxy:1'"),
        # What a peer wrote must not look like a line of the log, nor colour it.
        ("one\ntwo\x1b[31m\r\x9b", "wss://h/x", "one\\ntwo\\x1b[31m\\r\\x9b"),
        ("größe ✔", "wss://h/x", "größe ✔"),
    ],
)
def test_mask_in(text, url, shown):
    assert mask_secrets(text, url) == shown
