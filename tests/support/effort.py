"""How thorough the tests are: quick by default, thorough at night."""

from __future__ import annotations

import os

# `make test-nightly` sets it.
NIGHTLY = os.environ.get("IMGSYNC_TEST_EFFORT", "") == "nightly"


def effort(quick: int, nightly: int) -> int:
    """Return *quick* in the normal suite, *nightly* at night."""
    return nightly if NIGHTLY else quick
