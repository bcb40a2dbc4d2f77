"""Fields of listing APIs."""

from __future__ import annotations

import pytest

from imgsync.listing.json_fields import convert_milliseconds, parse_timestamp


@pytest.mark.parametrize("text", ["Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 99999999999999999999 Jan 2026 00:00:00 GMT", "soon", "", None, 5])
def test_impossible_dates_are_ignored(text):
    """Any numbers may be in them."""
    assert parse_timestamp(text) is None


@pytest.mark.parametrize("count", [0, -1, 1, 315_532_800_000, 10**14, 10**400])
def test_implausible_milliseconds_are_no_date(count):
    """Neither 1980 nor a time that no clock reaches."""
    assert convert_milliseconds(count) is None
