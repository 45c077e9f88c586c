"""The head of a handshake: read at once, or left to those who can say what is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core.request_head import read_request_head
from tests.support.ids import shown

LINES = {
    b"Host": b"example.org",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
}


def head(target=b"/ws/echo", *more, first=None, **changed):
    lines = {**LINES, **{name.replace("_", "-").encode(): value for name, value in changed.items()}}
    first = b"GET %s HTTP/1.1" % target if first is None else first
    written = [b"%s: %s" % pair for pair in lines.items() if pair[1] is not None]
    return b"\r\n".join([first, *written, *more, b"", b""])


def test_all_of_it_is_read():
    data = head(
        b"/ws/gr%C3%B6%C3%9Fe;a=1/b?q=1;2",
        b"Origin: https://example.org:8443",
        b"Sec-WebSocket-Protocol: one, two",
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
        b"Cookie: a=1",
        b"X-Own:\t gr\xc3\xb6\xc3\x9fe\x85 ",
        b"COOKIE: b=2",
        b"X-Empty:",
    )
    found = read_request_head(data + b"\x81\x80early\r\n\r\n")
    assert found.target == "/ws/gr%C3%B6%C3%9Fe;a=1/b?q=1;2"
    assert (found.host, found.key) == ("example.org", b"dGhlIHNhbXBsZSBub25jZQ==")
    assert found.subprotocols == ["one", "two"]
    assert found.extensions == "permessage-deflate; client_max_window_bits"
    assert found.size == len(data)
    assert found.headers == [
        (b"host", b"example.org"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"origin", b"https://example.org:8443"),
        (b"sec-websocket-protocol", b"one, two"),
        (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits"),
        (b"cookie", b"a=1"),
        (b"x-own", b"gr\xc3\xb6\xc3\x9fe\x85"),
        (b"cookie", b"b=2"),
        (b"x-empty", b""),
    ]


READ = [
    head(Host=b"[::1]:8000"),
    head(Host=b"127.0.0.1:65535"),
    head(Upgrade=b"WebSocket"),
    head(Connection=b"keep-alive, Upgrade"),
    head(Connection=b"keep-alive,upgrade"),
    head(b"/?", b"Origin: http://127.0.0.1"),
    head(b"/", *[b"X-%d: x" % number for number in range(495)]),
]


@pytest.mark.parametrize("data", READ, ids=shown)
def test_what_is_in_order_is_read(data):
    assert read_request_head(data) is not None


LEFT = [
    b"",
    head()[:-1],
    head().replace(b"\r\n", b"\n"),
    head(first=b"POST /ws HTTP/1.1"),
    head(first=b"GET /ws HTTP/1.0"),
    head(first=b"GET /ws  HTTP/1.1"),
    head(first=b"GET /ws HTTP/1.1 "),
    head(first=b"\r\nGET /ws HTTP/1.1"),
    head(first=b"get /ws HTTP/1.1"),
    *(
        head(target)
        for target in (b"//ws", b"http://x/ws", b"ws", b"*", b"/a#b", b"/\xff", b"/a b", b"/\x00", b"/a\\b", b'/"')
    ),
    *(head(b"/", line) for line in (b" folded", b"\tfolded", b"no colon", b": x", b"A b: x", b"A : x", b"A_b: x")),
    *(
        head(b"/", line)
        for line in (b"A: x\x00", b"A: x\ny", b"A: x\ry", b"A: \x0b", b"\xe4: x", b"Expect: 100-continue")
    ),
    *(head(b"/", line) for line in (b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Daphne-Root-Path: /x")),
    *(head(b"/", b"%s: %s" % pair) for pair in LINES.items()),  # twice
    *(
        head(b"/", b"Origin: " + value)
        for value in (b"null", b"", b"x", b"file://", b"http://[::1]", b"http://x:99999", b"http://u@x")
    ),
    *(head(Host=value) for value in (b"", b"a:b", b"a b", b"a:123456", b"gr\xc3\xb6\xc3\x9fe", b"a,b")),
    *(head(Upgrade=value) for value in (b"h2c", b"websocket, h2c", b"")),
    *(head(Connection=value) for value in (b"close", b"", b"upgrade-insecure")),
    *(
        head(b"/", b"Sec-WebSocket-Protocol: " + value)
        for value in (b"", b",", b"a,,b", b"a, a", b"a b", b"gr\xc3\xb6\xc3\x9fe")
    ),
    head(b"/", b"Sec-WebSocket-Extensions: \xff"),
    head(b"/", *[b"X-%d: x" % number for number in range(496)]),
    head(b"/" + b"x" * 16_384),
    *(
        head(Sec_WebSocket_Key=value)
        for value in (b"", b"dGhlIHNhbXBsZSBub25jZQ=", b"dGhlIHNhbXBsZSBub25jZQ===", b"dGhlIHNhbXBsZSBub25jZ!==")
    ),
    *(head(Sec_WebSocket_Version=value) for value in (b"12", b"", b"013", b"13, 8")),
    *(head(**{name.decode().replace("-", "_"): None}) for name in LINES),
]


@pytest.mark.parametrize("data", LEFT, ids=shown)
def test_what_is_unusual_is_left_to_others(data):
    assert read_request_head(data) is None


@given(st.binary())
def test_no_bytes_are_read_that_are_no_head(data):
    assert read_request_head(data + b"\r\n\r\n") is None


@given(st.integers(0, len(READ[0]) - 1), st.binary(min_size=1, max_size=2))
def test_a_head_with_other_bytes_in_it_is_left_or_has_them_in_its_values(at, other):
    data = head()
    found = read_request_head(data[:at] + other + data[at:])
    if found is not None:
        assert other in found.target.encode() + b"".join(name + b": " + value for name, value in found.headers) or (
            not other.strip(b" \t\r\n")
        )
