"""Fields of listing APIs."""

from __future__ import annotations

import pytest

from imgsync.listing.json_fields import parse_timestamp


@pytest.mark.parametrize("text", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", "soon", "", None, 5])
def test_impossible_dates_are_ignored(text):
    """Any numbers may be in them."""
    assert parse_timestamp(text) is None
