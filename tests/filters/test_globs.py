"""Globs and regular expressions run in linear time."""

from __future__ import annotations

import json
import time

import pytest

from imgsync.filters.globs import check_tag_glob, compile_expression, compile_glob
from tests.support.declarations import declared, faults_of, mirror


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


@pytest.mark.row("CFG-11")
@pytest.mark.parametrize(
    "setting", ["tags: {{include: {}}}", "tags: {{exclude: {}}}", "immutable: {}", "prune: {{protect: {}}}", "tags: {{min_age: {{age: 1d, except: {}}}}}"]
)
@pytest.mark.parametrize("glob", ["release/*", "v1 *", "*:v1", "v1@*", "-rc*", ".*", "[/]", "v\u0661*", "{tag}"])
def test_glob_that_matches_no_tag_is_an_error(setting, glob, tmp_path):
    """An exclusion or a protection that can never hold would be ignored without a word."""
    (fault,) = faults_of(tmp_path, mirror(setting.format(json.dumps([glob]))))

    assert "matches no tag; tags have" in fault


@pytest.mark.parametrize("glob", ["Library/*", "a//b", "/a", "a/", "a:v1", "-a", "[A-Z]*", "a b"])
def test_glob_that_matches_no_repository_is_an_error(glob, tmp_path):
    """In `source.exclude`."""
    source = {"registry": "s.io", "namespaces": ["a"], "exclude": [glob]}

    (fault,) = faults_of(tmp_path, json.dumps(declared(source)))

    assert "matches no repository; paths are" in fault


@pytest.mark.parametrize(("glob", "tag"), [("*-rc.?", "1-rc.1"), ("**/1", "1"), ("[!/]", "a"), ("?-[0-9]*", "a-1"), ("V1_*", "V1_"), ("**", "x")])
def test_glob_that_matches_some_tag_is_accepted(glob, tag):
    """And matches it."""
    check_tag_glob(glob)

    assert compile_glob(glob).fullmatch(tag)
