"""Carry an error from one greenlet or thread to another."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from imgsync.system.dataclass import dataclass

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Raised:
    """An error to raise again in the caller's greenlet."""

    error: BaseException


def catch_error(function: Callable[[], Result]) -> Result | Raised:
    """Return the result of *function*, or the error it raised."""
    try:
        return function()
    except BaseException as error:  # noqa: BLE001 - raised by `unwrap`; gevent would print a traceback of its own
        return Raised(error)


def unwrap(result: Result | Raised) -> Result:
    """Return a result of `catch_error`, or raise its error."""
    if isinstance(result, Raised):
        raise result.error
    return result
