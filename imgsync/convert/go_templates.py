"""
Evaluate the Go templates of regsync files.

Expressions with the functions of regclient are evaluated. Control structures and the content of files are not.

Spec: https://pkg.go.dev/text/template, https://regclient.org/cli/regctl/#templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from imgsync.system.dataclass import dataclass

_ACTION = re.compile(r"(?P<before>\s*)\{\{(?P<left>-(?=\s))?(?P<code>.*?)(?P<right>(?<=\s)-)?\}\}(?P<after>\s*)", re.DOTALL)
_CALL = re.compile(r"\{\{-?\s*(env|file)\s*[\"`]([^\"`]+)[\"`]\s*-?\}\}")
_TOKEN = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\.)*\"|`[^`]*`)|(?P<number>[0-9]{1,9})(?![\w.])|(?P<field>(?:\.[A-Za-z_]\w*)+)|(?P<name>[A-Za-z_]\w*)|(?P<mark>[()|]))"
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_LENGTH = 4000
_MAX_DEPTH = 20

Value = str | int | list[str]


class TemplateError(Exception):
    """A template has something that imgsync does not evaluate."""


class UnsetVariableError(Exception):
    """A template needs a variable that is not set."""

    def __init__(self, name: str) -> None:
        """Keep the *name* of the variable."""
        super().__init__(name)
        self.name = name


class _Unset(str):
    """The name of an unset variable, which only `default` and `or` replace."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Call:
    """A call of "env" or "file" with its argument."""

    function: str
    argument: str


def is_template(text: str) -> bool:
    """Return whether *text* contains a template."""
    return "{{" in text


def parse_call(text: str) -> Call | None:
    """Return the call, None unless *text* is a single call."""
    found = _CALL.fullmatch(text.strip())
    if found is None or (found[1] == "env" and not _VARIABLE.fullmatch(found[2])):
        return None
    return Call(found[1], found[2])


def fill_template(text: str, *, variables: Mapping[str, str], fields: Mapping[str, str]) -> str:
    """
    Evaluate the template *text*.

    Args:
        text: The template.
        variables: What `env` reads.
        fields: The values of fields such as `.Sync.Source`.

    Raises:
        TemplateError: It has something that imgsync does not evaluate.
        UnsetVariableError: It needs a variable that is not set.
    """
    if len(text) > _MAX_LENGTH:
        raise TemplateError(f"the template is longer than {_MAX_LENGTH} characters")
    evaluator = _Evaluator(variables, fields)
    filled = _ACTION.sub(lambda found: _trim(found, evaluator), text)
    if "{{" in filled:
        raise TemplateError("the template is not closed")
    return filled


def _trim(found: re.Match[str], evaluator: _Evaluator) -> str:
    value = evaluator.evaluate(found["code"])
    return f"{'' if found['left'] else found['before']}{value}{'' if found['right'] else found['after']}"


class _Evaluator:
    """Evaluates the expression of one action at a time."""

    def __init__(self, variables: Mapping[str, str], fields: Mapping[str, str]) -> None:
        self._variables = variables
        self._fields = fields
        self._tokens: list[re.Match[str]] = []
        self._position = 0

    def evaluate(self, code: str) -> str:
        if code.strip().startswith("/*") and code.strip().endswith("*/"):
            return ""
        self._tokens, self._position = _split_tokens(code), 0
        value = _require_set(self._read_pipeline(0))
        if self._position < len(self._tokens):
            raise TemplateError("unbalanced ')'")
        return f"[{' '.join(value)}]" if isinstance(value, list) else str(value)

    def _read_pipeline(self, depth: int) -> Value:
        """Evaluate commands joined by `|`, up to `)` or the end."""
        if depth > _MAX_DEPTH:
            raise TemplateError("the template is nested too deep")
        value = self._read_command(depth, [])
        while self._peek() == "|":
            self._position += 1
            value = self._read_command(depth, [value])
        return value

    def _read_command(self, depth: int, piped: list[Value]) -> Value:
        function = self._tokens[self._position]["name"] if self._position < len(self._tokens) else None
        if function is not None:
            self._position += 1
        operands: list[Value] = []
        while self._peek() not in {"", "|", ")"}:
            operands.append(self._read_operand(depth))
        if function is not None:
            return self._call(function, [*operands, *piped])
        if len(operands) != 1 or piped:
            raise TemplateError("a value is not a function")
        return operands[0]

    def _read_operand(self, depth: int) -> Value:
        token = self._tokens[self._position]
        self._position += 1
        if token["text"] is not None:
            return _unquote(token["text"])
        if token["number"] is not None:
            return int(token["number"])
        if token["field"] is not None:
            if token["field"] not in self._fields:
                raise TemplateError(f"the field {token['field']} is not supported")
            return self._fields[token["field"]]
        if token["mark"] == "(":
            value = self._read_pipeline(depth + 1)
            if self._peek() != ")":
                raise TemplateError("missing ')'")
            self._position += 1
            return value
        raise TemplateError(f"{token[0].strip()!r} is not supported here")

    def _peek(self) -> str:
        return self._tokens[self._position][0].strip() if self._position < len(self._tokens) else ""

    def _call(self, function: str, operands: list[Value]) -> Value:
        match function, operands:
            case "default", [fallback, value]:
                return value if value and not isinstance(value, _Unset) else fallback
            case "or", [_, *_]:
                return next((one for one in operands if one and not isinstance(one, _Unset)), operands[-1])
            case "env", [str(name)]:
                return self._variables.get(name) or _Unset(name)
        return _call_function(function, [_require_set(one) for one in operands])


def _call_function(function: str, operands: list[Value]) -> Value:
    types, call = _FUNCTIONS.get(function, (None, None))
    fits = types is None or (len(types) == len(operands) and all(isinstance(one, kind) for one, kind in zip(operands, types, strict=True)))
    if call is None or not fits:
        raise TemplateError(f"{function!r} is not supported with these values")
    value: Value = call(*operands)
    return value


def _index(parts: list[str], number: int) -> str:
    if number >= len(parts):
        raise TemplateError(f"the value has {len(parts)} parts, so it has none at {number}")
    return parts[number]


def _print(*values: Value) -> str:
    if not all(isinstance(one, str) for one in values):
        raise TemplateError("'print' is only supported with texts")
    return "".join(str(one) for one in values)


def _format(*operands: Value) -> str:
    form, *values = operands or ("%",)
    if not isinstance(form, str) or not form.count("%") == form.count("%s") + form.count("%d") == len(values):
        raise TemplateError("'printf' is only supported with %s and %d")
    return re.sub("%[sd]", lambda _: str(values.pop(0)), form)


# The types of the operands, None for any.
_FUNCTIONS: dict[str, tuple[tuple[type, ...] | None, Callable[..., Value]]] = {
    "lower": ((str,), str.lower),
    "upper": ((str,), str.upper),
    "trimSpace": ((str,), str.strip),
    "split": ((str, str), lambda text, separator: text.split(separator) if separator else list(text)),
    "join": ((list, str), lambda parts, separator: separator.join(parts)),
    "index": ((list, int), _index),
    "len": ((str,), len),
    "print": (None, _print),
    "printf": (None, _format),
}


def _require_set(value: Value) -> Value:
    if isinstance(value, _Unset):
        raise UnsetVariableError(str(value))
    return value


def _split_tokens(code: str) -> list[re.Match[str]]:
    tokens = []
    position = 0
    while code[position:].strip():
        found = _TOKEN.match(code, position)
        if found is None:
            raise TemplateError(f"{code[position:].strip()[:20]!r} is not supported")
        tokens.append(found)
        position = found.end()
    return tokens


def _unquote(literal: str) -> str:
    if literal.startswith("`"):
        return literal[1:-1]
    try:
        return str(json.loads(literal))
    except ValueError as error:
        raise TemplateError(f"the text {literal} is not supported") from error
