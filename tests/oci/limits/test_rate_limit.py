"""A rate limit counts what was sent before it was made."""

from __future__ import annotations

import pytest

from imgsync.errors import LimitReachedError
from imgsync.oci.limits.rate_limit import RateLimit

RATE = (2, 3600.0)


def _never(_seconds: float) -> None:
    raise AssertionError("it waited")


def test_limit_that_follows_another_continues_its_window():
    """One request was sent under a larger share, so one is left."""
    earlier, later = RateLimit("r.io", (4, 3600.0)), RateLimit("r.io", RATE)
    earlier.wait(_never)
    later.follow(earlier)

    later.wait(_never)
    with pytest.raises(LimitReachedError, match="used up"):
        later.wait(_never)


def test_limit_that_follows_another_stays_blocked():
    """What the registry asked for outlives the session."""
    earlier, later = RateLimit("r.io", RATE), RateLimit("r.io", RATE)
    with pytest.raises(LimitReachedError):
        earlier.block_for(3600.0)

    later.follow(earlier)

    with pytest.raises(LimitReachedError, match="accepts no requests"):
        later.wait(_never)
