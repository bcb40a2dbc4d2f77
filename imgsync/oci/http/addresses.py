"""
Judge IP addresses: public, private, or of a cloud's metadata service.

`ipaddress` knows the registries of IANA as they were when that Python was released, and nothing of clouds.
"""

from __future__ import annotations

import ipaddress
import socket

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Services of clouds that answer any process of a machine, also with its credentials. All others have link-local addresses.
_METADATA = {
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba
        "168.63.129.16",  # Azure
        "192.0.0.192",  # Oracle
        "fd00:42::42",  # Scaleway
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:ec2::23",  # AWS, for pods
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google
    )
}
# Not public, although a Python that imgsync supports calls them global.
_NOT_PUBLIC = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "3fff::/20", "5f00::/16", "fec0::/10")))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_IPV4_TRANSLATED = ipaddress.IPv6Network("::ffff:0:0:0/96")
_FIRST_COMPATIBLE = 1 << 16


def is_public(address: str) -> bool:
    """Return whether *address*, and any IPv4 address in it, is public."""
    parsed = _parse(address)
    embedded = _find_embedded(parsed)
    if parsed in _LOCAL_NAT64:
        return False
    return all(map(_is_global, embedded or (parsed,)))


def is_metadata(address: str) -> bool:
    """Return whether *address* is link-local or a cloud's metadata service."""
    parsed = _parse(address)
    return any(one.is_link_local or one in _METADATA for one in (parsed, *_find_embedded(parsed)))


def find_literal(host: str) -> str | None:
    """
    Return the address that *host* spells, None if it is a name.

    Also `127.1`, `0x7f000001` and `localhost`, which resolvers turn into addresses without asking a name server.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(_parse(name))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(name))
    except (OSError, UnicodeError):
        return None


def _parse(address: str) -> _Address:
    return ipaddress.ip_address(address.partition("%")[0])


def _is_global(address: _Address) -> bool:
    # Multicast and reserved addresses count as global in `ipaddress`.
    unusual = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not unusual and address not in _METADATA and not any(address in network for network in _NOT_PUBLIC)


def _find_embedded(address: _Address) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    named = address.ipv4_mapped or address.sixtofour
    if named is not None or address.teredo is not None:
        return (named,) if named is not None else address.teredo or ()
    number = int(address)
    last = ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _LOCAL_NAT64:
        return (last, *_read_rfc6052(number))
    if address in _NAT64 or address in _IPV4_TRANSLATED or (address in _IPV4_COMPATIBLE and number >= _FIRST_COMPATIBLE):
        return (last,)
    return ()


def _read_rfc6052(number: int) -> tuple[ipaddress.IPv4Address, ...]:
    """
    Return what prefixes of 48, 56 and 64 bits embed.

    Spec: RFC 6052, section 2.2.
    """
    bits = f"{number:0128b}"
    # Bits 64 to 71 are not part of the address.
    without = bits[:64] + bits[72:]
    return tuple(ipaddress.IPv4Address(int(without[length : length + 32], 2)) for length in (48, 56, 64))
