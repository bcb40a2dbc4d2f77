"""Code in our messages is found; backticks of others are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsync.text.code_spans import CodeSpan, split_code_spans


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("change `immutable` of it", ["change ", CodeSpan("", "immutable", ""), " of it"]),
        ("log in (`docker login x`), or wait", ["log in ", CodeSpan("(", "docker login x", "),"), " or wait"]),
        ("`a` `b`", [CodeSpan("", "a", ""), " ", CodeSpan("", "b", "")]),
        ("it is `one", ["it is `one"]),
        ("evil`name has `code` too", ["evil`name has ", CodeSpan("", "code", ""), " too"]),
        ("x`y` and ``", ["x`y` and ``"]),
        ("", []),
    ],
)
def test_only_code_that_stands_alone_is_code(text, parts):
    """A name with a backtick does not turn the rest inside out."""
    assert list(split_code_spans(text)) == parts


@given(st.text(alphabet="`ab (),.\u00a0\n"))
def test_no_character_is_lost(text):
    """But the backticks of code."""
    assert "".join(one if isinstance(one, str) else f"{one.before}`{one.code}`{one.after}" for one in split_code_spans(text)) == text
