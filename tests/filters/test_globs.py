"""Globs and regular expressions run in linear time."""

from __future__ import annotations

import time

import pytest

from imgsync.filters.globs import compile_expression
from tests.support.declarations import faults_of


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*b", "(a|a?)+$", "((a+)+)+b", "(?:a*)*c"])
def test_catastrophic_pattern_matches_at_once(pattern):
    """Time grows linearly with the text."""
    began = time.process_time()

    assert compile_expression(pattern).fullmatch("a" * 100_000 + "!") is None

    assert time.process_time() - began < 2


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "((((a{100}){100}){100}){100})", "(?=a)b", r"(a)\\1", "(" * 2000])
def test_expression_that_re2_refuses_is_an_error(pattern, tmp_path):
    """For its size or its back-references, when the file is read."""
    text = "version: 1\nmirrors:\n  - name: a\n    source: r.io/x/y\n    destinations: [s.io/m]\n    tags: {regex: ['" + pattern.replace("\\\\", "\\") + "']}\n"

    assert "invalid RE2 expression" in faults_of(tmp_path, text)[0]
