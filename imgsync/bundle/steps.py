"""Run long work on files in a native thread, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from imgsync.concurrency.native_thread import NativeThread

Step = TypeVar("Step")


def drive(thread: NativeThread, steps: Iterator[Step], take: Callable[[Step], None] | None = None) -> None:
    """Run *steps* in *thread*; pass what each yields to *take*."""
    end = object()
    while (found := thread.run(partial(next, steps, end))) is not end:
        if take is not None:
            take(found)
