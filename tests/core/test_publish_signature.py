"""Signatures of HTTP publish: which are taken, and what is said of the others."""

import contextlib
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_fastws._core import publish_signature
from django_fastws._core.publish_keys import read_publish_keys
from django_fastws._core.publish_signature import HEADERS, BadSignature, signature, signer

NOW = 1_764_500_000
BODY = b'{"publish":[]}'
KEYS = read_publish_keys({"shop": {"secret": "one"}, "two": {"secret": ["new", b"\xffold"]}})


def signed(key="shop", secret=b"one", timestamp=str(NOW), body=BODY, **changed):
    made = hmac.new(secret, timestamp.encode("utf-8", "surrogatepass") + b"." + body, hashlib.sha256).hexdigest()
    headers = dict(zip(HEADERS, (key, timestamp, made), strict=True))
    return {**headers, **changed}


def refused(headers, body=BODY, now=NOW, keys=KEYS):
    with pytest.raises(BadSignature) as raised:
        signer(keys, headers, body, now)
    return str(raised.value)


def test_a_signature_is_that_of_the_rfc():
    # RFC 4231, test case 2, whose text has one dot less: the same text, cut in two at a dot of our own.
    assert signature(b"Jefe", "1", b"2") == hmac.new(b"Jefe", b"1.2", hashlib.sha256).digest()


SIGNED = [
    signed(),
    signed("two", b"new"),
    signed("two", b"\xffold"),
    signed(timestamp=str(NOW - 300)),
    signed(timestamp=str(NOW + 300)),
    signed(timestamp=f"000{NOW}"),
]


@pytest.mark.parametrize("headers", SIGNED, ids=[str(place) for place in range(len(SIGNED))])
def test_what_is_signed_is_of_its_key(headers):
    assert signer(KEYS, headers, BODY, NOW).id == headers[HEADERS[0]]
    upper = {**headers, HEADERS[2]: headers[HEADERS[2]].upper()}
    assert signer(KEYS, upper, BODY, NOW + 0.99 if int(headers[HEADERS[1]]) == NOW else NOW)


NO_TIMES = ["", " ", "abc", f"{NOW}.0", f"{NOW}.5", f"+{NOW}", f"-{NOW}", f"{NOW} ", f" {NOW}", f"{NOW}\n", "1e9"]
NO_TIMES += [
    "NaN",
    "inf",
    f"{NOW},{NOW}",
    f"{NOW}, {NOW}",
    "0x5",
    "٣",
    "١٧٦٤٥٠٠٠٠٠",
    "１７６４５００００",
    "9" * 16,
    "9" * 5000,
]


@pytest.mark.parametrize("timestamp", NO_TIMES, ids=[str(place) for place in range(len(NO_TIMES))])
def test_a_timestamp_is_whole_seconds_in_ascii_digits(timestamp):
    assert "X-Fastws-Timestamp is" in refused(signed(timestamp=timestamp))


@pytest.mark.parametrize("off", [301, 3600, NOW])
def test_a_timestamp_is_near(off):
    assert refused(signed(timestamp=str(NOW - off))).startswith(f"X-Fastws-Timestamp is {off} seconds in the past")
    assert refused(signed(timestamp=str(NOW + off))).startswith(f"X-Fastws-Timestamp is {off} seconds in the future")


GOOD = signed()[HEADERS[2]]
NO_HEX = [
    "x",
    GOOD[:-1],
    GOOD + "0",
    f"{GOOD},{GOOD}",
    f"{GOOD} ",
    f"sha256={GOOD}",
    "0x" + GOOD[2:],
    "ä" * 64,
    "１" * 64,
]
NO_HEX += [" ".join(GOOD[at : at + 2] for at in range(0, 64, 2)), GOOD[:-1] + "\n"]


@pytest.mark.parametrize("given", NO_HEX, ids=[str(place) for place in range(len(NO_HEX))])
def test_a_signature_is_hex_and_nothing_else(given):
    assert refused(signed(**{HEADERS[2]: given})).startswith("X-Fastws-Signature is not the hex")


NOT_SIGNED = [
    signed("nobody"),
    signed("Shop"),
    signed("shop,shop"),
    signed("größe"),
    signed(secret=b"two"),
    signed(secret=b""),
    signed("two", b"one"),
    signed("nobody", b"nobody"),
    signed("", b"nobody", **{HEADERS[0]: "\x00"}),
    signed(body=BODY + b" "),
    signed(**{HEADERS[2]: "0" * 64}),
    signed(**{HEADERS[1]: str(NOW + 1)}),
]


@pytest.mark.parametrize("headers", NOT_SIGNED, ids=[str(place) for place in range(len(NOT_SIGNED))])
def test_what_is_signed_otherwise_is_nobodys_and_none_is_told_from_another(headers):
    assert refused(headers) == "there is no such key, or X-Fastws-Signature is not made with its secret, of this body"


@pytest.mark.parametrize("name", HEADERS)
def test_each_of_the_headers_is_there(name):
    assert refused(signed(**{name: ""})) == f"{name} is missing"
    assert refused({key: value for key, value in signed().items() if key != name}) == f"{name} is missing"


def test_without_keys_nothing_is_signed():
    assert refused(signed(), keys={}).startswith("there is no such key")


@pytest.mark.parametrize("key", ["shop", "two", "nobody", "größe"])
def test_as_many_secrets_are_tried_for_any_key(key, monkeypatch):
    made = []

    def counted(*args):
        made.append(args)
        return signature(*args)

    monkeypatch.setattr(publish_signature, "signature", counted)
    for secret in (b"one", b"new", b"wrong"):
        made.clear()
        with contextlib.suppress(BadSignature):
            signer(KEYS, signed(key, secret), BODY, NOW)
        assert len(made) == 2


@given(st.binary(max_size=50), st.binary(min_size=1, max_size=80), st.integers(0, 999), st.integers(0, 7))
def test_no_bit_can_be_changed(body, secret, at, bit):
    keys = read_publish_keys({"k": {"secret": secret}})
    headers = signed("k", secret, body=body)
    assert signer(keys, headers, body, NOW).id == "k"
    changed = bytearray(body + b"x")
    changed[at % len(changed)] ^= 1 << bit
    assert refused(headers, bytes(changed), keys=keys)
    wrong = bytearray.fromhex(headers[HEADERS[2]])
    wrong[at % 32] ^= 1 << bit
    assert refused({**headers, HEADERS[2]: wrong.hex()}, body, keys=keys)


@given(st.dictionaries(st.sampled_from(HEADERS), st.text(max_size=70)), st.binary(max_size=20))
def test_whatever_comes_is_refused_and_nothing_else(headers, body):
    assert refused(headers, body)
