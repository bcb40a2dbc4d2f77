"""Where a server listens is read strictly, and an address in use is told."""

from __future__ import annotations

import socket

import pytest

from imgsync.concurrency.listen_address import ListenAddress, is_loopback_name, open_listener, parse_listen_address
from imgsync.errors import UsageError


@pytest.mark.parametrize(
    ("text", "address", "loopback"),
    [
        ("127.0.0.1:8080", ListenAddress("127.0.0.1", 8080), True),
        ("[::1]:8080", ListenAddress("::1", 8080), True),
        ("localhost:0", ListenAddress("localhost", 0), True),
        (":8080", ListenAddress("", 8080), False),
        ("0.0.0.0:65535", ListenAddress("0.0.0.0", 65535), False),
        ("[::]:1", ListenAddress("::", 1), False),
    ],
)
def test_addresses_are_read_and_written(text, address, loopback):
    """Each form gives the same text again."""
    assert parse_listen_address(text) == address
    assert str(address) == text
    assert address.is_loopback is loopback


@pytest.mark.parametrize("text", ["", "8080", "host", "::1:8080", "127.0.0.1:", "h:65536", "[12]:1", "a b:1", "http://h:1", "h:-1"])
def test_other_addresses_are_usage_errors(text):
    """With a form that works."""
    with pytest.raises(UsageError) as caught:
        parse_listen_address(text)

    assert ":8080" in caught.value.hint


def test_an_address_in_use_is_a_usage_error():
    """It names the address, and the options to change."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use$") as caught:
            open_listener(ListenAddress("127.0.0.1", port))

    assert "--listen" in caught.value.hint


def test_names_of_this_machine_are_loopback():
    """All of 127.0.0.0/8, and localhost."""
    assert all(map(is_loopback_name, ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"]))
    assert not any(map(is_loopback_name, ["", "0.0.0.0", "10.0.0.1", "localhost.example", "127.0.0.1.nip.io"]))
