"""
Add random pauses where the program and its registries wait.

A test that passes only by luck in the order of events then fails soon. `make test-shaken` sets IMGSYNC_TEST_SHAKEN; without it nothing here acts.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

_SHAKEN = bool(os.environ.get("IMGSYNC_TEST_SHAKEN"))

_CHANCE = 0.3
_ANSWER_SECONDS = 0.04
_REQUEST_SECONDS = 0.02


def hold_up() -> None:
    """Make a client of a test server wait a little longer, sometimes."""
    if _SHAKEN:
        _pause(_ANSWER_SECONDS)


def shake_program() -> None:
    """Delay this process at random, as `shake`, if the suite is shaken."""
    if _SHAKEN:
        shake()


def shake(seed: int | None = None, *, chance: float = _CHANCE) -> None:
    """
    Delay this process's requests, blocking calls such as writes of the state, and greenlets at random.

    In half of all runs registries seem far away. Call it after the program was imported, before its command line runs.
    """
    import gevent

    from imgsync.concurrency import native_thread
    from imgsync.oci import capabilities, transport

    random.seed(seed)
    exchange: Callable[..., Any] = transport.Transport._exchange
    run: Callable[..., Any] = native_thread.NativeThread.run

    def later(*given: Any, **named: Any) -> Any:
        _pause(_REQUEST_SECONDS, chance)
        return exchange(*given, **named)

    def run_later(*given: Any) -> Any:
        _pause(_REQUEST_SECONDS, chance)
        try:
            return run(*given)
        finally:
            _pause(_REQUEST_SECONDS, chance)

    def spawn(function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        return gevent.spawn_later(random.random() * _REQUEST_SECONDS, function, *given, **named)

    transport.Transport._exchange = later
    native_thread.NativeThread.run = run_later
    gevent.spawn = spawn
    if random.random() < 0.5:
        capabilities._FAR_SECONDS = 0.0


def _pause(most_seconds: float, chance: float = _CHANCE) -> None:
    if random.random() < chance:
        time.sleep(random.random() * most_seconds)
