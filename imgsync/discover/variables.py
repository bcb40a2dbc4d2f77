"""
Fill in variables as shells and Compose write them.

`${X:-default}` takes its default, since the environment of a later run is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PLAIN = re.compile(r"\$(?:\$|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>[^A-Za-z0-9_]))", re.ASCII)
_DEPTH_LIMIT = 8
_LONGEST = 4096


class UnknownVariableError(Exception):
    """A variable without a value; its name is the message."""


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """
    Return *text* with its variables filled in from *values* and their defaults.

    Raises:
        UnknownVariableError: A variable has neither.
    """
    return _fill_in(text, values, 0)


def _fill_in(text: str, values: Mapping[str, str], depth: int) -> str:
    if depth > _DEPTH_LIMIT or len(text) > _LONGEST:
        raise UnknownVariableError("a variable")
    made, at = "", 0
    while (found := _PLAIN.search(text, at)) is not None:
        made += text[at : found.start()]
        at = found.end()
        if found["name"]:
            made += _value_of(found["name"], values, depth)
        elif found["braced"]:
            end = _find_end(text, found.start() + 2)
            made += _read_braced(found["braced"], text[found.end("braced") : end], values, depth)
            at = end + 1
        else:
            made += "$"
        if len(made) > _LONGEST:
            raise UnknownVariableError("a variable")
    return made + text[at:]


def _read_braced(name: str, rest: str, values: Mapping[str, str], depth: int) -> str:
    """Return the value of a variable in braces."""
    operator = rest[:2] if rest.startswith(":") else rest[:1]
    default = rest[len(operator) :]
    is_set = bool(values.get(name)) if operator.startswith(":") else name in values
    if operator in {"+", ":+"}:
        return _fill_in(default, values, depth + 1) if is_set else ""
    if not is_set and operator in {"-", ":-", "=", ":="}:
        return _fill_in(default, values, depth + 1)
    return _value_of(name, values, depth)


def _value_of(name: str, values: Mapping[str, str], depth: int) -> str:
    if name not in values:
        raise UnknownVariableError(name)
    return _fill_in(values[name], values, depth + 1)


def _find_end(text: str, start: int) -> int:
    """Return where the brace that is open at *start* closes."""
    depth = 1
    for at in range(start, len(text)):
        depth += (text[at] == "{" and text[at - 1] == "$") - (text[at] == "}")
        if depth == 0:
            return at
    raise UnknownVariableError("a variable without its closing brace")
