"""Which addresses are public, and which belong to metadata services."""

from __future__ import annotations

import pytest

from imgsync.oci.http.addresses import find_literal, is_metadata, is_public


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2606:4700::1",
        "::ffff:8.8.8.8",
        "::8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::1",
        "2001:0:808:808:0:0:f7f7:f7f7",
    ],
)
def test_public_addresses_are_recognized(address):
    """IPv6 addresses that lead to a public IPv4 address are public too."""
    assert is_public(address)
    assert not is_metadata(address)


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "127.0.0.1",
        "0.0.0.0",
        "100.64.0.1",
        "192.0.0.8",
        "192.88.99.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::10.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:0:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "2002:a00:1::",
        "2001:0:a00:1::f7f7:f7f7",
        "2001:0:808:808::f5ff:fffe",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fec0::1",
        "fe80::1%lo",
        "ff02::1",
    ],
)
def test_private_addresses_are_recognized(address):
    """Loopback, private, shared, reserved, multicast, and those that embed one."""
    assert not is_public(address)


@pytest.mark.row("AUTH-04")
@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fe80::a9fe:a9fe",
        "::169.254.169.254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::a83f:8110",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9:fe:a9fe::",
        "64:ff9b:1:0:a9:fea9:fe00:0",
        "2002:a9fe:a9fe::",
    ],
)
def test_metadata_services_are_recognized(address):
    """Of every cloud, by every form of the address."""
    assert is_metadata(address)
    assert not is_public(address)


@pytest.mark.row("AUTH-28")
@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.1.", "10.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("::1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("LocalHost.", "127.0.0.1"),
        ("a.localhost", "127.0.0.1"),
        ("registry.example", None),
        ("localhost.example", None),
        ("1.2.3.4.example", None),
        ("", None),
    ],
)
def test_hosts_that_spell_addresses(host, address):
    """As resolvers read them, without a name server."""
    assert find_literal(host) == address
