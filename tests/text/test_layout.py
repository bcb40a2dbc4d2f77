"""Text in columns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.text.layout import measure, pad, shorten_digests, shorten_middle, wrap


@given(text=st.text(max_size=80), width=st.integers(2, 60))
def test_shortened_text_fits(text, width):
    """And text that fits stays as it is."""
    shown = shorten_middle(text, width)

    assert measure(shown) <= width
    assert shown == text or (measure(text) > width and "…" in shown)


@given(words=st.lists(st.text("ab日#:", min_size=1, max_size=12), max_size=20), width=st.integers(8, 40))
def test_wrapped_lines_fit_unless_a_word_does_not(words, width):
    """No word is lost or broken, and none at the beginning of a line is a command for a runner."""
    lines = list(wrap(" ".join(words), width, first="  ", rest="    "))

    assert [word.replace("\\x3a", ":").replace("\\x23", "#") for word in " ".join(lines).split()] == words
    assert [line for line in lines if measure(line) > width and len(line.split()) > 1] == []
    assert [line for line in lines if line.lstrip().startswith("::")] == []


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("→…", 2), ("日本", 4), ("e\u0301", 1)])
def test_columns_of_text_are_measured(text, columns):
    """Wide characters take two columns, combining ones none."""
    assert measure(text) == columns
    assert pad(text, 6) == text + " " * (6 - columns)


def test_digests_are_cut_to_twelve_digits():
    """With and without the algorithm; other numbers stay."""
    digits = "0123456789ab" + "c" * 52

    assert shorten_digests(f"sha256:{digits} {digits} sha512:{'0123456789ab' + 'd' * 116}") == "0123456789ab 0123456789ab 0123456789ab"
    assert shorten_digests("a" * 63 + " " + "e" * 70) == "a" * 63 + " " + "e" * 70
