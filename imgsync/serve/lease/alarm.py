"""
Have the system end this process after a long pause.

A process that is stopped between its look at the lease and the system call of a write would go on with that call. But a signal that came meanwhile is
handled first. So a timer of the system ends the process then, by a function of C: Python's own handlers run later, and the default action has no effect
on process 1 of a container.
"""

from __future__ import annotations

import ctypes
import signal

# The number of the signal, which the handler gets.
EXIT_CODE = int(signal.SIGALRM)


class Alarm:
    """Ends the process with `EXIT_CODE` unless it is set again in time."""

    def __init__(self) -> None:
        """Prepare; the process must not use SIGALRM for anything else."""
        library = ctypes.CDLL(None)
        library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
        library.signal.restype = ctypes.c_void_p
        # Its only argument is an exit code, as that of a handler is a signal.
        library.signal(signal.SIGALRM, ctypes.cast(library["_exit"], ctypes.c_void_p))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})

    def set(self, seconds: float) -> None:
        """End the process in *seconds*; with 0, do not."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
