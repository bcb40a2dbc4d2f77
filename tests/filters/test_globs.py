"""Globs and regular expressions run in linear time."""

from __future__ import annotations

import time

import pytest

from imgsync.filters.globs import compile_expression
from tests.support.declarations import faults_of


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*b", "(a|a?)+$", "((a+)+)+b", "(?:a*)*c"])
def test_pattern_that_holds_other_engines_for_hours_matches_at_once(pattern):
    """Users' expressions run in time that grows with the text alone."""
    began = time.process_time()

    assert compile_expression(pattern).fullmatch("a" * 100_000 + "!") is None

    assert time.process_time() - began < 2


@pytest.mark.row("DOS-13")
@pytest.mark.parametrize("pattern", ["(a{1000}){1000}", "((((a{100}){100}){100}){100})", "(?=a)b", r"(a)\\1", "(" * 2000])
def test_expression_that_cannot_run_in_bounds_is_a_fault(pattern, tmp_path):
    """What RE2 does not take, for its size or for what it would have to remember, is told when the file is read."""
    text = "version: 1\nmirrors:\n  - name: a\n    source: r.io/x/y\n    destinations: [s.io/m]\n    tags: {regex: ['" + pattern.replace("\\\\", "\\") + "']}\n"

    assert "invalid RE2 expression" in faults_of(tmp_path, text)[0]
