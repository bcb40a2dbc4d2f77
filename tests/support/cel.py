"""
A small interpreter of CEL: enough for policies that rewrite names, with RE2 as CEL's `matches` has it.

Spec: github.com/google/cel-spec, langdef; the string functions of Kubernetes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import re2

_TOKENS = re.compile(r"\s*('(?:[^'\\]|\\.)*'|[0-9]+|[A-Za-z_]\w*|&&|\|\||==|!=|<=|>=|[-+?:.,()\[\]{}!<>])")
_ESCAPES = {"\\\\": "\\", "\\'": "'", "\\n": "\n", "\\r": "\r"}
_Scope = dict[str, Any]
_Node = Callable[[_Scope], Any]
_MEMBERS: dict[str, Callable[..., Any]] = {
    "matches": lambda text, pattern: re2.search(pattern, text) is not None,
    "startsWith": str.startswith,
    "contains": lambda text, part: part in text,
    "indexOf": str.find,
    "lastIndexOf": str.rfind,
    "replace": str.replace,
}


def evaluate(text: str, **variables: Any) -> Any:
    """Return the value of the expression *text*; messages are dicts."""
    return _parse(text)(variables)


@functools.lru_cache(maxsize=16)
def _parse(text: str) -> _Node:
    parser = _Parser(text)
    node = parser.parse()
    assert parser.peek() == "", parser.rest()
    return node


class _Parser:
    """Recursive descent; each method returns a function of the variables."""

    def __init__(self, text: str) -> None:
        self._tokens, at = [], 0
        while found := _TOKENS.match(text, at):
            self._tokens.append(found[1])
            at = found.end()
        assert not text[at:].strip(), text[at : at + 40]
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        return self._tokens[self._at + ahead] if self._at + ahead < len(self._tokens) else ""

    def rest(self) -> str:
        return " ".join(self._tokens[self._at : self._at + 20])

    def _take(self, expected: str = "") -> str:
        token = self.peek()
        assert token
        assert expected in {"", token}, f"{expected} expected at {self.rest()}"
        self._at += 1
        return token

    def parse(self) -> _Node:
        condition = self._parse_binary(0)
        if self.peek() != "?":
            return condition
        self._take()
        yes = self._parse_binary(0)
        self._take(":")
        no = self.parse()
        return lambda scope: yes(scope) if condition(scope) else no(scope)

    def _parse_binary(self, level: int) -> _Node:
        operators: tuple[dict[str, Callable[[Any, Callable[[], Any]], Any]], ...] = (
            {"||": lambda left, right: left or right()},
            {"&&": lambda left, right: left and right()},
            {"==": lambda left, right: left == right(), "!=": lambda left, right: left != right(), ">": lambda left, right: left > right()},
            {"+": lambda left, right: left + right(), "-": lambda left, right: left - right()},
        )
        if level == len(operators):
            return self._parse_unary()
        left = self._parse_binary(level + 1)
        while self.peek() in operators[level]:
            apply, first, right = operators[level][self._take()], left, self._parse_binary(level + 1)
            left = lambda scope, apply=apply, first=first, right=right: apply(first(scope), lambda: right(scope))  # noqa: E731
        return left

    def _parse_unary(self) -> _Node:
        if self.peek() == "!":
            self._take()
            value = self._parse_unary()
            return lambda scope: not value(scope)
        return self._parse_member()

    def _parse_member(self) -> _Node:
        value = self._parse_primary()
        while self.peek() in {".", "["}:
            if self._take() == "[":
                index = self.parse()
                self._take("]")
                value = lambda scope, of=value, index=index: of(scope)[index(scope)]  # noqa: E731
                continue
            name = self._take()
            value = self._parse_call(value, name) if self.peek() == "(" else lambda scope, of=value, name=name: of(scope)[name]
        return value

    def _parse_call(self, of: _Node, name: str) -> _Node:
        self._take("(")
        if name in {"map", "filter"}:
            variable = self._take()
            self._take(",")
            each = self.parse()
            self._take(")")
            if name == "map":
                return lambda scope: [each({**scope, variable: one}) for one in of(scope)]
            return lambda scope: [one for one in of(scope) if each({**scope, variable: one})]
        given = self._parse_list(")")
        if name == "substring":
            return lambda scope: _substring(of(scope), *(one(scope) for one in given))
        member = _MEMBERS[name]
        return lambda scope: member(of(scope), *(one(scope) for one in given))

    def _parse_list(self, end: str) -> list[_Node]:
        found = []
        while self.peek() != end:
            found.append(self.parse())
            if self.peek() == ",":
                self._take()
        self._take(end)
        return found

    def _parse_primary(self) -> _Node:
        token = self._take()
        if token == "(":
            inner = self.parse()
            self._take(")")
            return inner
        if token == "[":
            ones = self._parse_list("]")
            return lambda scope: [one(scope) for one in ones]
        if token[0] == "'":
            text = re.sub(r"\\.", lambda found: _ESCAPES[found[0]], token[1:-1])
            return lambda _: text
        if token.isdigit():
            return lambda _: int(token)
        if token == "has":
            return self._parse_has()
        return self._parse_message() if token == "Object" else lambda scope: scope[token]

    def _parse_has(self) -> _Node:
        self._take("(")
        path = [self._take()]
        while self.peek() == ".":
            self._take()
            path.append(self._take())
        self._take(")")

        def has(scope: _Scope) -> bool:
            value = scope
            for name in path[:-1]:
                value = value[name]
            return path[-1] in value

        return has

    def _parse_message(self) -> _Node:
        while self.peek() == ".":
            self._take()
            self._take()
        self._take("{")
        fields: dict[str, _Node] = {}
        while self.peek() != "}":
            name = self._take()
            self._take(":")
            fields[name] = self.parse()
            if self.peek() == ",":
                self._take()
        self._take("}")
        return lambda scope: {name: value(scope) for name, value in fields.items()}


def _substring(text: str, start: int, end: int | None = None) -> str:
    end = len(text) if end is None else end
    assert 0 <= start <= end <= len(text), (text, start, end)
    return text[start:end]
