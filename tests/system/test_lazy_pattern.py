"""Patterns of modules are compiled when first used, and behave as if they had been compiled before."""

from __future__ import annotations

import copy
import inspect
import re

import pytest

from imgsync.system import lazy_pattern
from imgsync.system.lazy_pattern import compile_patterns_later, compile_patterns_now

_MODULE = """
import re

WORD = re.compile("[a-z]+", re.IGNORECASE)
RAW = re.compile(b"[0-9]+")


class Reader:
    NUMBER = re.compile("([0-9]+)")


def compile_now(text):
    return re.compile(text)
"""


@pytest.fixture
def module():
    """A module that was imported while patterns were compiled later."""
    made = {"__name__": "module"}
    compile_patterns_later()
    try:
        exec(compile(_MODULE, "module.py", "exec"), made)
    finally:
        compile_patterns_now()
    return made


def test_pattern_of_a_module_is_compiled_when_used(module, monkeypatch):
    """Once, for all its methods."""
    compiled = []
    monkeypatch.setattr(lazy_pattern, "_compile_now", lambda *arguments: compiled.append(arguments) or re.compile(*arguments))

    assert compiled == []
    assert module["WORD"].fullmatch("Word")[0] == "Word"
    assert module["WORD"].sub("-", "1 a 2 b") == "1 - 2 -"
    assert module["WORD"].pattern == "[a-z]+"
    assert compiled == [("[a-z]+", re.IGNORECASE)]


def test_pattern_of_a_class_is_compiled_when_used(module):
    """A class body is run at the import too."""
    assert type(module["Reader"].NUMBER) is not re.Pattern
    assert module["Reader"].NUMBER.search("a 12").groups() == ("12",)


def test_function_compiles_at_once(module):
    """Its caller may expect the error of an invalid pattern."""
    compile_patterns_later()
    try:
        assert type(module["compile_now"]("a")) is re.Pattern
        with pytest.raises(re.error):
            module["compile_now"]("(")
    finally:
        compile_patterns_now()


def test_pattern_passes_for_a_compiled_one(module):
    """For `isinstance`, the functions of `re`, copies, comparisons and as a key."""
    word, compiled = module["WORD"], re.compile("[a-z]+", re.IGNORECASE)

    assert isinstance(word, re.Pattern)
    assert re.sub(word, "-", "1 a") == "1 -"
    assert re.match(word, "a1")[0] == "a"
    assert re.compile(word).search("1 a")[0] == "a"
    assert copy.deepcopy(word).search("1 a")[0] == "a"
    assert {word: 1}[compiled] == 1
    assert (word == compiled, word != module["RAW"], repr(word)) == (True, True, repr(compiled))
    assert module["RAW"].findall(b"1 22") == [b"1", b"22"]


def test_python_compiles_as_usual_afterwards():
    """Nothing of `re` stays replaced."""
    before = re.compile
    compile_patterns_later()
    during = re.compile
    compile_patterns_now()

    assert (re.compile is before, during is before) == (True, False)
    assert lazy_pattern._CO_OPTIMIZED == inspect.CO_OPTIMIZED
