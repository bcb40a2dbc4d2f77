"""
Compile the regular expressions of modules when they are first used.

A short run imports modules with 160 regular expressions, uses 30 of them, and spent an eighth of its instructions on compiling the others. What a
function compiles is not affected: its caller may expect the error of an invalid one.
"""

from __future__ import annotations

import re
import sys
from typing import Any

_compile_now = re.compile
# That of `inspect`, which is set for functions only.
_CO_OPTIMIZED = 1
_METHODS = ("match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer", "pattern", "flags", "groups", "groupindex")


class _LaterPattern:
    """A regular expression that is compiled when it is first used."""

    def __init__(self, *arguments: Any) -> None:
        """Keep the arguments of `re.compile`."""
        self._arguments = arguments

    @property  # type: ignore[misc]  # mypy has it as a variable
    def __class__(self) -> Any:
        """The class that `isinstance` finds, in `re` too."""
        return re.Pattern

    def __getattr__(self, name: str) -> Any:
        """Compile, and keep the methods here for the next use."""
        compiled = self._compile()
        vars(self).update((method, getattr(compiled, method)) for method in _METHODS)
        return getattr(compiled, name)

    def __eq__(self, other: object) -> bool:
        return self._compile() == (other._compile() if type(other) is _LaterPattern else other)

    def __hash__(self) -> int:
        return hash(self._compile())

    def __repr__(self) -> str:
        return repr(self._compile())

    def _compile(self) -> re.Pattern[Any]:
        return _compile_now(*self._arguments)


def compile_patterns_later() -> None:
    """Compile no pattern of a module at its import."""
    re.compile = _compile_or_wait


def compile_patterns_now() -> None:
    """Compile each pattern of a module at its import, as Python does."""
    re.compile = _compile_now


def _compile_or_wait(pattern: Any, flags: Any = 0) -> Any:
    caller = sys._getframe(1).f_code  # noqa: SLF001 - documented, and there is no other way to know the caller
    is_module_or_class = not caller.co_flags & _CO_OPTIMIZED
    return _LaterPattern(pattern, flags) if is_module_or_class and isinstance(pattern, str | bytes) else _compile_now(pattern, flags)
