"""Untrusted text is shown on one line, escaped, and runs no CI command."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.documents.json_stream import to_json
from imgsync.text.sanitize import sanitize_json, sanitize_line, sanitize_lines, sanitize_short


@pytest.mark.row("OUT-01")
def test_noncharacters_are_escaped():
    """The last two of every plane and thirty-two more."""
    for code in [plane << 16 | last for plane in range(17) for last in range(0xFFFA, 0x10000)] + list(range(0xFDC8, 0xFDF8)):
        never = code & 0xFFFF in {0xFFFE, 0xFFFF} or 0xFDD0 <= code <= 0xFDEF
        if never or unicodedata.category(chr(code)) not in {"Cc", "Cf", "Co", "Cs"}:
            assert (sanitize_line(chr(code)) != chr(code)) is never, hex(code)


@pytest.mark.row("OUT-01")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain: text", "plain: text"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028break", "line\\u2028break"),
        ("\ue000", "\\ue000"),
        ("grüße 東京 🚀", "grüße 東京 🚀"),
        ("::add-mask::x", "\\x3a:add-mask::x"),
        ("  ::warning::x", "  \\x3a:warning::x"),
        ("a ::b", "a ::b"),
        ("a ##[error]x", "a \\x23#[error]x"),
        ("##vso[task.x]", "\\x23#vso[task.x]"),
        ("###[x]", "#\\x23#[x]"),
        ("## heading", "## heading"),
    ],
)
def test_text_shows_what_it_is(text, shown):
    """Control characters are escaped, letters of all languages are not."""
    assert sanitize_line(text) == shown


def test_each_line_is_sanitised():
    """A command at the beginning of any line is escaped."""
    assert sanitize_lines("a\n::error::x\n b") == "a\n\\x3a:error::x\n b"


def test_json_says_the_same():
    """The JSON is equal, and a runner finds no command in it."""
    text = json.dumps({"error": "##[error]x ::y", "a": "b#c"})

    assert "##[" not in sanitize_json(text)
    assert json.loads(sanitize_json(text)) == json.loads(text)
    assert sanitize_json('"plain"') == '"plain"'


@pytest.mark.row("OUT-01")
@pytest.mark.parametrize("hidden", ["\u202e", "\u2066", "\u200f", "\u061c", "\u200b", "\x7f", "\x9b", "\u2028", "\ufeff", "\U000e0041", "\ud800"])
def test_invisible_characters_are_escaped_in_json(hidden):
    """With the same value; letters and line breaks between values stay."""
    document = {f"k{hidden}": [f"ünï{hidden}x", "钥"]}

    shown = to_json(document, indented=True)

    assert hidden not in shown
    assert "ünï" in shown
    assert shown.count("\n") == 5
    assert json.loads(shown) == document


@given(st.text())
def test_sanitised_text_has_no_control_characters(text):
    """No control, no direction override, no line break."""
    shown = sanitize_short(text)

    assert "\n" not in shown
    assert not {"\x1b", "\x07", "\r", "\u202e", "\u2028", "\u200b"} & set(shown)
