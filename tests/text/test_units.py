"""Durations, as imgsync and Go write them."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.config.schema_files import read_schema
from imgsync.text.units import format_declared_duration, parse_duration

# Text and seconds; the second half as Go's time.Duration prints them.
DURATIONS = {
    "0s": 0.0,
    "90s": 90.0,
    "15m": 900.0,
    "6h": 21600.0,
    "90d": 7776000.0,
    "999999999d": 86399999913600.0,
    "1h30m": 5400.0,
    "1h30m0s": 5400.0,
    "1d12h": 129600.0,
    "500ms": 0.5,
    "1.5h": 5400.0,
    "2m3.5s": 123.5,
    "1m1ms": 60.001,
    "250us": 0.00025,
    "250µs": 0.00025,
    "250\u03bcs": 0.00025,
    "10ns": 1e-8,
}
NO_DURATIONS = [
    "",
    "1",
    "s",
    "1 s",
    "1h 30m",
    "-1s",
    "+1s",
    "1.s",
    ".5s",
    "1h30",
    "1w",
    "1S",
    "1hour",
    "1e3s",
    "1s\n",
    "1s" * 9,
    "1234567890s",
    "1_0s",
    "1.1.1s",
]


def _schema_pattern() -> str:
    timeouts = json.loads(read_schema("mirror"))["$defs"]["timeouts"]["properties"]
    return str(timeouts["request"]["pattern"])


@pytest.mark.parametrize("text", DURATIONS)
def test_durations_of_go_are_read(text):
    """The schema takes the same texts."""
    assert parse_duration(text) == DURATIONS[text]
    assert re.search(_schema_pattern(), text)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_other_texts_are_no_durations(text):
    """The error shows both ways to write one."""
    with pytest.raises(ValueError, match="such as 90s, 15m, 6h, 90d, 1h30m or 500ms"):
        parse_duration(text)
    assert not re.search(_schema_pattern().removesuffix("$") + r"\Z", text)


@given(st.text("0123456789.dhmsunµ -", max_size=24))
def test_parser_and_schema_agree(text):
    """On every text."""
    try:
        parse_duration(text)
        is_duration = True
    except ValueError:
        is_duration = False
    assert is_duration == bool(re.search(_schema_pattern().removesuffix("$") + r"\Z", text))


@given(st.floats(min_value=0, max_value=1e13))
def test_declared_durations_are_read_back(seconds):
    """To the nanosecond, or as exactly as a float is."""
    assert parse_duration(format_declared_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


def test_declared_durations_are_short():
    """In the largest unit that fits."""
    shown = {seconds: format_declared_duration(seconds) for seconds in (0.0, 90.0, 5400.0, 259200.0, 0.5, 1.5, 0.00025)}

    assert list(shown.values()) == ["0s", "90s", "90m", "3d", "500ms", "1500ms", "250us"]


def test_mirrors_and_options_take_durations_of_go(lab):
    """In each setting and each option that is a duration."""
    lab.write(
        "mirrors.d/a.yaml",
        "version: 1\nmirrors:\n  - name: a\n    source: r.io/x/y\n    destinations: [s.io/m]\n    tags: {max_age: 1h30m, min_age: {age: 1m30s}}\n"
        "    timeouts: {request: 1500ms, image: 1h30m, run: 2h0m0s}\n    retry: {interval: 500ms}\n",
    )

    shown = lab.run("validate", "--show")

    assert shown.code == 0, shown.stderr
    for text in ("max_age: 90m", "min_age: 90s", "request: 1500ms", "image: 90m", "run: 2h", "interval: 500ms"):
        assert text in shown.stdout
    options = ("--run-timeout", "1h30m", "--heartbeat", "1m30s", "--grace", "500ms", "--lock-timeout", "1m0.5s")
    assert lab.run("apply", *options, "--only", "nothing").code == 3
    refused = lab.run("apply", "--grace", "1h30")
    assert (refused.code, "invalid duration '1h30'" in refused.stderr) == (3, True)
