"""Where a server listens: HOST:PORT, [::1]:PORT or :PORT."""

from __future__ import annotations

import ipaddress
import re
import socket

from imgsync.errors import UsageError
from imgsync.system.dataclass import dataclass

_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45})\]|(?P<host>[0-9A-Za-z._-]{0,253})):(?P<port>[0-9]{1,5})")
_BACKLOG = 1024
# What is sent and not yet read waits in the kernel's memory, so a thousand clients that never read must not hold megabytes each.
_KERNEL_BUFFER_BYTES = 64 << 10
_LOOPBACK_NAMES = ("localhost", "localhost.", "ip6-localhost")


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """A host, "" for all addresses, and a port, 0 for any."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can connect."""
        return is_loopback_name(self.host)

    def __str__(self) -> str:
        """Return HOST:PORT, as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_address(host: str) -> bool:
    """Return whether *host* is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback_name(host: str) -> bool:
    """Return whether *host* is localhost, or an address of it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() in _LOOPBACK_NAMES


def parse_listen_address(text: str) -> ListenAddress:
    """
    Return the address that *text* names.

    Raises:
        UsageError: It has another form, or a port above 65,535.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match["port"]) > 65_535:
        raise UsageError(f"{text[:100]!r} is not an address to listen on", hint="give HOST:PORT, [::1]:PORT or :PORT, such as 127.0.0.1:8080")
    host = match["six"] or match["host"]
    if match["six"] is not None and not _is_six(host):
        raise UsageError(f"{text[:100]!r} is not an IPv6 address with a port", hint="give it as [::1]:8080")
    return ListenAddress(host, int(match["port"]))


def open_listener(address: ListenAddress) -> socket.socket:
    """
    Return a socket that listens on *address*.

    Raises:
        UsageError: It is in use, not allowed, or not of this machine.
    """
    sixes = ":" in address.host or (not address.host and socket.has_dualstack_ipv6())
    try:
        listener = socket.create_server(
            (address.host, address.port),
            family=socket.AF_INET6 if sixes else socket.AF_INET,
            backlog=_BACKLOG,
            dualstack_ipv6=sixes and not address.host,
        )
    except OSError as error:
        # Python appends the address once more.
        reason = (error.strerror or str(error)).partition(" (while ")[0]
        raise UsageError(f"cannot listen on {address}: {reason}", hint="give another address with --listen or --listen-events") from error
    # Sockets of connections inherit these.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for direction in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        listener.setsockopt(socket.SOL_SOCKET, direction, _KERNEL_BUFFER_BYTES)
    return listener


def _is_six(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
