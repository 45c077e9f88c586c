"""Which Origin headers are let in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.origins import Origin, matches_any, parse_origin, same_host

PARSED = [
    ("https://example.com", Origin("https", "example.com", 443)),
    ("http://example.com", Origin("http", "example.com", 80)),
    ("HTTPS://Example.COM", Origin("https", "example.com", 443)),
    ("https://example.com:8443", Origin("https", "example.com", 8443)),
    ("https://example.com.", Origin("https", "example.com", 443)),
    ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000)),
    ("http://[::1]:8000", Origin("http", "::1", 8000)),
    ("http://[::1]", Origin("http", "::1", 80)),
    ("chrome-extension://abcdef", Origin("chrome-extension", "abcdef", None)),
    ("https://xn--bcher-kva.example", Origin("https", "xn--bcher-kva.example", 443)),
]


@pytest.mark.parametrize(("value", "origin"), PARSED)
def test_parsing(value, origin):
    assert parse_origin(value) == origin


@pytest.mark.parametrize(
    "value",
    [
        "",
        "null",
        "*",
        "example.com",
        "//example.com",
        "https://",
        "https:///",
        "https://example.com/",
        "https://example.com/path",
        "https://example.com?x",
        "https://example.com#x",
        "https://user@example.com",
        "https://user:password@example.com",
        "https://example.com:port",
        "https://example.com:99999",
        "https://example.com:-1",
        "https://[::1",
        "https://::1]",
        "https://[::1]]",
        "https://[[::1]",
        "https://[::1]x",
        "https://[::1]x:443",
        "https://x[::1]",
        "https://[nope]",
        "https://example.com https://evil.com",
        "https://example.com\t",
        "https://example.com\r\nX: y",
        "https://exa\0mple.com",
        "https://bücher.example",
        "https://example.com\x7f",
        "file://",
        ":",
        "://",
        "https:example.com",
    ],
)
def test_what_is_no_origin(value):
    assert parse_origin(value) is None


@pytest.mark.parametrize("value", ["https://.", "https://...:8443"])
def test_a_host_of_dots_alone_is_no_origin(value):
    assert parse_origin(value) is None


def test_port_0_is_not_the_port_of_the_scheme():
    assert parse_origin("https://example.com:0") != parse_origin("https://example.com")


MATCHED = [
    ("https://example.com", ["*"], True),
    ("https://example.com", [], False),
    ("https://example.com", ["example.com"], True),
    ("https://example.com", ["EXAMPLE.com"], True),
    ("https://example.com", ["example.com."], True),
    ("http://example.com:8000", ["example.com"], True),
    ("https://www.example.com", ["example.com"], False),
    ("https://example.com", [".example.com"], True),
    ("https://www.example.com", [".example.com"], True),
    ("https://a.b.example.com", [".example.com"], True),
    ("https://badexample.com", [".example.com"], False),
    ("https://example.com.evil.com", [".example.com"], False),
    ("https://example.com.evil.com", ["example.com"], False),
    ("https://evil.com", ["example.com", "evil.com"], True),
    ("https://example.com", ["https://example.com"], True),
    ("http://example.com", ["https://example.com"], False),
    ("https://example.com:443", ["https://example.com"], True),
    ("https://example.com:8443", ["https://example.com"], False),
    ("https://example.com:8443", ["https://example.com:8443"], True),
    ("https://example.com", ["https://example.com:8443"], False),
    ("https://example.com", ["https://.example.com"], True),
    ("https://www.example.com", ["https://.example.com"], True),
    ("http://www.example.com", ["https://.example.com"], False),
    ("http://localhost:3000", ["localhost:3000"], True),
    ("http://localhost:3001", ["localhost:3000"], False),
    ("http://[::1]:8000", ["[::1]"], True),
    ("http://[::1]:8000", ["http://[::1]:8000"], True),
    ("http://[::1]:8000", ["[::1]]", "x[::1]", "http://[::1]x"], False),
    ("http://127.0.0.1:8000", ["127.0.0.1"], True),
    ("chrome-extension://abcdef", ["chrome-extension://abcdef"], True),
    ("chrome-extension://abcdef", ["chrome-extension://other"], False),
    ("https://www.example.com", ["https://*.example.com"], True),
    ("https://a.b.example.com", ["https://*.example.com"], True),
    ("https://example.com", ["https://*.example.com"], True),  # as Django's CSRF_TRUSTED_ORIGINS has it
    ("http://www.example.com", ["https://*.example.com"], False),
    ("https://badexample.com", ["https://*.example.com"], False),
    ("https://www.example.com.evil.com", ["https://*.example.com"], False),
    ("https://www.example.com", ["*.example.com"], True),
    ("https://www.example.com:8443", ["https://*.example.com:8443"], True),
    ("https://www.example.com", ["https://*.example.com:8443"], False),
    ("https://www.example.com", ["https://w*.example.com"], False),
    ("https://example.com", ["https://*", "https://*.*"], False),
    ("https://xn--bcher-kva.example", ["https://bücher.example"], True),
    ("https://xn--bcher-kva.example", ["BÜCHER.example"], True),
    ("https://shop.xn--bcher-kva.example", ["https://*.bücher.example"], True),
    ("https://shop.xn--bcher-kva.example:8443", [".bücher.example"], True),
    ("https://xn--bcher-kva.example", ["https://xn--bcher-kva.example"], True),
    ("https://xn--strae-oqa.example", ["straße.example"], True),  # not strasse.example, as Python's codec has it
    ("https://strasse.example", ["straße.example"], False),
    ("https://example.com", ["https://a\u200b.example", "https://\ud800.example"], False),
    ("https://example.com", [""], False),
    ("https://example.com", ["."], False),
    ("https://example.com", ["://"], False),
    ("https://example.com", ["https://"], False),
    ("https://example.com", ["[::1", "http://[", "example.com:port"], False),
]


@pytest.mark.parametrize(("value", "patterns", "matches"), MATCHED)
def test_matching(value, patterns, matches):
    assert matches_any(parse_origin(value), patterns) is matches


SAME = [
    ("https://example.com", "example.com", None, True),
    ("http://example.com", "example.com", None, True),
    ("https://example.com", "EXAMPLE.com", None, True),
    ("https://example.com", "example.com.", None, True),
    ("https://example.com", "www.example.com", None, False),
    ("https://evil.com", "example.com", None, False),
    ("http://example.com:8000", "example.com:8000", None, True),
    ("http://example.com:8000", "example.com", None, False),
    ("http://example.com", "example.com:8000", None, False),
    ("https://example.com", "example.com:443", None, True),
    ("https://example.com", "example.com", True, True),
    ("http://example.com", "example.com", True, False),
    ("http://example.com", "example.com", False, True),
    ("http://[::1]:8000", "[::1]:8000", None, True),
    ("http://127.0.0.1:8000", "127.0.0.1:8000", None, True),
    ("https://example.com", "", None, False),
    ("https://example.com", "[::1", None, False),
    ("http://[::1]", "[::1]]", None, False),
    ("http://[::1]", "x[::1]", None, False),
    ("https://example.com", "example.com:port", None, False),
    ("https://example.com", "\xff\xfe", None, False),
]


@pytest.mark.parametrize(("value", "host", "secure", "same"), SAME)
def test_the_same_host(value, host, secure, same):
    assert same_host(parse_origin(value), host, secure=secure) is same


TEXTS = st.one_of(
    st.text(st.characters()),
    st.text("htps:/.[]@1aü%?#*\\ \t", max_size=20),
    st.text("[]:./a1@%", max_size=10).map("https://".__add__),
    st.binary().map(lambda raw: raw.decode("latin-1")),
)


@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_nothing_is_raised_whatever_the_header(value, patterns):
    origin = parse_origin(value)
    assert origin is None or (origin.scheme and origin.host)
    some = origin or Origin("https", "example.com", 443)
    assert matches_any(some, patterns) in (True, False)
    assert same_host(some, value) in (True, False)


@given(TEXTS)
def test_only_the_origin_itself_matches_a_pattern_with_its_scheme_host_and_port(value):
    origin = parse_origin(value)
    wanted = parse_origin("https://example.com:8443")
    if origin is not None:
        assert matches_any(origin, ["https://example.com:8443"]) is (origin == wanted)
