"""
End at a signal before a session handles signals.

The kernel drops SIGTERM for process 1 of a container unless there is a handler, so one is set before the first import that takes time.
"""

from __future__ import annotations

import os
import signal
import types

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STOPPED_EXIT = 75


def end_at_signal() -> None:
    """End the process with exit code 75 at SIGINT or SIGTERM."""
    for number in _SIGNALS:
        signal.signal(number, _end)


def raise_at_interrupt() -> None:
    """Raise KeyboardInterrupt at SIGINT, so that files are cleaned up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: types.FrameType | None) -> None:
    # At once: nothing has begun, and an exception could be caught by any code.
    os._exit(_STOPPED_EXIT)
