"""An answer from a terminal."""

from __future__ import annotations

import os
import pty

import pytest

from imgsync.concurrency.read_answer import read_answer


@pytest.fixture
def ends():
    """Open both ends of a terminal: the user's, and the program's as a stream."""
    user, program = pty.openpty()
    with os.fdopen(program) as stream:
        yield user, stream


@pytest.mark.parametrize(("typed", "answer"), [(b"y\n", "y"), (b"y\x04", ""), (b"\x04", "")], ids=["line", "part", "end"])
def test_only_a_whole_line_is_an_answer(typed, answer, ends):
    """Ctrl-D returns what was typed so far, without the end of a line."""
    user, stream = ends
    checks = iter(range(2))

    # Typed once the question is there.
    assert read_answer(stream, lambda: next(checks) == 0 and os.write(user, typed) == 0) == answer


def test_terminal_that_is_gone_is_no_answer(ends):
    """Reading from it is an error of the system (EIO), or its end."""
    user, stream = ends

    assert read_answer(stream, lambda: os.close(user) is not None) == ""
