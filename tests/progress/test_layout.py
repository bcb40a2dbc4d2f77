"""Lines keep their numbers at every width."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.progress.layout import Line, Style, format_share, format_time, make_line
from imgsync.progress.live_lines import LiveLines

_PLAIN = Style(coloured=False)


@given(st.integers(20, 300), st.floats(0, 1), st.text("ab ", max_size=80), st.text("12 /", max_size=80))
def test_no_line_is_wider_than_the_terminal(width, fraction, left, right):
    """With or without room for a bar."""
    line = make_line(_PLAIN, left, fraction, right, width=width)

    assert line.width == len(line.text) <= width


def test_bar_gives_way_to_the_numbers():
    """Sizes, rate and time left are the last to go."""
    assert make_line(_PLAIN, "3/12 images", 0.5, "1.0/2.0 MiB 4s left", width=40).text == "3/12 images ━━━━──── 1.0/2.0 MiB 4s left"
    assert make_line(_PLAIN, "3/12 images", 0.5, "1.0/2.0 MiB 4s left", width=34).text == "3/12 images 1.0/2.0 MiB 4s left"


def test_colours_take_no_columns():
    """The width is that of the characters."""
    line = make_line(Style(coloured=True), "a", 0.5, "b", width=20)

    assert "\x1b[36m" in line.text
    assert line.width == 20


def test_terminal_without_utf8_gets_ascii():
    """An escape for each character would be wider than the bar."""
    style = Style(coloured=False, is_utf8=False)

    assert make_line(style, "a", 0.5, "b", width=12).text == "a ####---- b"
    assert style.shorten("a-long-name", 8).isascii()
    assert len(style.shorten("a-long-name", 8)) == 8


@pytest.mark.parametrize(("done", "total", "shown"), [(0, 0, "0/0 B"), (1, 2048, "0.0/2.0 KiB"), (12 << 20, 3 << 30, "0.0/3.0 GiB")])
def test_shares_have_one_unit(done, total, shown):
    """That of the total."""
    assert format_share(done, total) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0s"), (9.9, "9s"), (192, "3m12s"), (7500, "2h05m")])
def test_times_are_whole_seconds(seconds, shown):
    """A tenth that flickers says nothing."""
    assert format_time(seconds) == shown


@pytest.mark.parametrize(("rewraps", "rows"), [(True, 4), (False, 2)])
def test_erasing_counts_the_rows_of_a_narrower_terminal(rewraps, rows):
    """Terminals that wrap lines again show each in several rows."""
    sizes = [os.terminal_size((80, 24)), os.terminal_size((40, 24))]
    lines = LiveLines(lambda width: [Line("x" * width, width)] * 2, find_size=lambda: sizes[0], rewraps=rewraps)
    lines.draw()
    sizes.pop(0)

    assert lines.erase() == f"\r\x1b[{rows}A\x1b[J"
    assert lines.erase() == ""


def test_lines_leave_a_row_for_the_cursor():
    """More lines than the terminal has would scroll away and stay."""
    lines = LiveLines(lambda _: [Line("x", 1)] * 9, find_size=lambda: os.terminal_size((80, 4)), rewraps=True)

    assert lines.draw() == "x\n" * 3
