"""Connect to one address, without a call that waits for long."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket

from imgsync.oci.http.stream import repeat, wait_until_ready
from imgsync.oci.http.wait_limit import WaitLimit

_STARTED = {0, errno.EINPROGRESS, errno.EWOULDBLOCK}


def connect(address: str, port: int, limit: WaitLimit) -> socket.socket:
    """
    Return a socket that is connected to an IP address.

    Raises:
        TimeoutError: It did not answer within *limit*.
        OSError: It refuses, or there is no route.
    """
    with contextlib.ExitStack() as failure:
        connected = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        failure.callback(connected.close)
        connected.settimeout(0)
        _raise_for(connected.connect_ex((address, port)), _STARTED)
        repeat(lambda: wait_until_ready(connected, select.POLLOUT), limit)
        _raise_for(connected.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), {0})
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        failure.pop_all()
    return connected


def _raise_for(code: int, accepted: set[int]) -> None:
    if code not in accepted:
        raise OSError(code, os.strerror(code))
