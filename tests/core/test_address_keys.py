"""Which addresses are one client."""

import pytest

from django_fastws._core.address_keys import address_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("2001:db8:1:2::1", "2001:0DB8:0001:0002:0000:0000:0000:0001"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::2%eth1"),
    ],
)
def test_these_are_one(one, other):
    assert address_key(one) == address_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.7", "192.0.2.8"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("192.0.2.7", "2001:db8::1"),
        ("/run/socket", "testclient"),
    ],
)
def test_these_are_two(one, other):
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize("host", ["", "/run/socket", "testclient", "192.0.2", "192.0.2.256", "::g", "a" * 10_000])
def test_what_is_no_address_stands_for_itself(host):
    assert address_key(host) == host
