"""Moments in words that a reader compares at a glance."""

from __future__ import annotations

from datetime import timedelta

import pytest

from imgsync.serve.web.words import describe_moment
from tests.support.board import NOW


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (-30, "within a minute"),
        (60, "1 min ago"),
        (-3599, "in 1 h"),
        (-3570, "in 1 h"),
        (-3569, "in 59 min"),
        (5400, "2 h ago"),
        (86399, "1 day ago"),
        (-2 * 86400, "in 2 days"),
        (13 * 86400, "13 days ago"),
        (14 * 86400, "2026-11-16"),
    ],
)
def test_moments_are_in_the_unit_that_fits(seconds, words):
    """Never 60 min or 24 h; a date if it is far."""
    assert describe_moment(NOW - timedelta(seconds=seconds), NOW) == words
