"""
Check whether writing to a stream would block.

A pipe that is not read, or a stopped terminal, must not stop the event loop that everything runs on.
"""

from __future__ import annotations

import os
import select
import stat

import gevent.monkey

from imgsync.system.stdio import Stream

# Not gevent's own `poll`, which runs other greenlets, nor `select`, which cannot see descriptors from 1,024 on.
_poll = gevent.monkey.get_original("select", "poll")


def is_writable(stream: Stream, size_bytes: int) -> bool:
    """Return whether *stream* takes *size_bytes* without blocking."""
    try:
        number = stream.fileno()
        if stat.S_ISREG(os.fstat(number).st_mode):
            return True
        # POSIX: a pipe that is ready takes PIPE_BUF bytes at once.
        return size_bytes <= select.PIPE_BUF and _is_ready(number)
    except (OSError, ValueError):
        # Without a descriptor, or with a closed one, the write itself reports the error.
        return True


def _is_ready(number: int) -> bool:
    poll = _poll()
    poll.register(number, select.POLLOUT)
    return bool(poll.poll(0))
