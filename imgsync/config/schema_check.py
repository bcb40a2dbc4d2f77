"""Check a document against its JSON Schema, with errors in plain words."""

from __future__ import annotations

import difflib
import json
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from imgsync.config.yaml_reader import Document, Path, Scalar
from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_message

_TYPES = {"string": "text", "integer": "a whole number", "boolean": "true or false", "array": "a list", "object": "a mapping"}
# What a pattern stands for, by its end; of two that fit, the first.
_PATTERN_KINDS = {"/([1-9][0-9]{0,5})?(s|m|h|d)$": "rate", "ms|s|m|h|d)){1,8}$": "duration", "iB)$": "size", "://": "URL"}
_RATE_FORM = "write requests per s, m, h or d"
_KIND_HINTS = {
    "rate": f"{_RATE_FORM}, such as 10/s, 100/m, 200/6h",
    "duration": "such as 30s, 15m, 6h, 90d, 1h30m",
    "size": "such as 512KiB, 64MiB",
    "URL": "such as https://host.internal:8443",
}
_TAG_LISTS = {"names", "include", "exclude"}
_SHOWN_CHARACTERS = 60
_LOGIN = re.compile(r"//[^/\s]*@")
_FOLDER = pathlib.Path(__file__).parents[1] / "schema"


@cache
def read_schema(name: str) -> str:
    """Return the shipped JSON schema *name* ("mirror" or "registries")."""
    return (_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")


def _check_pattern(_validator: object, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    """
    Yield an error if *pattern* does not match.

    In JSON Schema, `$` does not match before a final newline.
    """
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"this does not match {pattern}")


_Validator: Any = extend(Draft202012Validator, {"pattern": _check_pattern})  # type: ignore[no-untyped-call]


@cache
def _load_validator(name: str) -> Draft202012Validator:
    # An empty registry, so that no remote `$ref` is ever fetched.
    validator: Draft202012Validator = _Validator(json.loads(read_schema(name)), registry=Registry())
    return validator


def _schema_of(error: ValidationError) -> dict[str, Any]:
    return dict(error.schema) if isinstance(error.schema, Mapping) else {}


def check_schema(document: Document, name: str, *, secret: bool = False) -> list[FileError]:
    """
    Return every error that the schema *name* finds in *document*.

    With *secret*, the errors show no values.
    """
    return [found for error in _load_validator(name).iter_errors(document.value) for found in _explain(document, error, secret=secret)]


def _explain(document: Document, error: ValidationError, *, secret: bool) -> Iterator[FileError]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from _explain_unknown(document, error, path)
    elif error.validator == "required":
        missing = [f"'{name}'" for name in _names(error.validator_value) if name not in _names(error.instance)]
        yield document.error(path, f"missing required {'setting' if len(missing) == 1 else 'settings'} {_join(missing)}")
    elif error.validator in {"anyOf", "oneOf"}:
        yield from _explain_branches(document, error, path, secret=secret)
    elif error.validator == "type":
        yield _wrong_type(document, path, [error.validator_value], error.instance, secret=secret, example=_example(_schema_of(error)))
    else:
        yield document.error(path, _describe(error, document.written.get(path), secret=secret), hint=_hint(error))


def _explain_unknown(document: Document, error: ValidationError, path: Path) -> Iterator[FileError]:
    known = list(_schema_of(error).get("properties", ()))
    for name in _names(error.instance):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else f"known settings: {', '.join(known)}"
            yield document.error((*path, name), "unknown setting", hint=hint, at_key=True)


def _explain_branches(document: Document, error: ValidationError, path: Path, *, secret: bool) -> Iterator[FileError]:
    """Yield the errors of the branch whose type matches, if any."""
    context = error.context or []
    own_depth = len(error.absolute_path)
    mistyped = {one.schema_path[0] for one in context if one.validator == "type" and len(one.absolute_path) == own_depth}
    # A mapping was never meant as one of the keywords.
    keyword_branches = {"const"} if isinstance(error.instance, str) else {"const", "enum"}
    fitting = [one for one in context if one.schema_path[0] not in mistyped and not (one.validator in keyword_branches and len(one.absolute_path) == own_depth)]
    if fitting:
        for one in fitting:
            yield from _explain(document, one, secret=secret)
        return
    branches = [branch for branch in _schema_of(error).get("anyOf", ()) if isinstance(branch, dict)]
    consts = [f"'{branch['const']}'" for branch in branches if "const" in branch]
    enums = [f"'{value}'" for branch in branches for value in branch.get("enum", ())]
    types = [branch.get("type") for branch in branches if "type" in branch] or (["object"] if any("$ref" in branch for branch in branches) else [])
    if isinstance(error.instance, str) and (consts or enums):
        close = difflib.get_close_matches(error.instance, [text.strip("'") for text in (*consts, *enums)], n=1)
        expected = [*consts, *enums, *(_TYPES.get(str(kind), str(kind)) for kind in types)]
        yield document.error(path, f"expected {_join(expected, 'or')}, got '{_shorten(error.instance)}'", hint=f"did you mean '{close[0]}'?" if close else "")
        return
    example = next(filter(None, map(_example, branches)), "")
    yield _wrong_type(document, path, types, error.instance, secret=secret, example=example)


def _wrong_type(document: Document, path: Path, types: Iterable[Any], instance: object, *, secret: bool, example: str = "") -> FileError:
    expected = [_TYPES.get(str(kind), str(kind)) for kind in types]
    scalar = document.written.get(path)
    if scalar is None:
        kind = {"str": "text", "dict": "a mapping", "list": "a list"}.get(type(instance).__name__, "something else")
        return document.error(path, f"expected {_join(expected, 'or')}, got {kind}")
    is_text = "text" in expected
    if secret or not scalar.written:
        hint = "put it in quotes" if is_text and scalar.written else ""
        return document.error(path, f"expected {_join(expected, 'or')}, got {_with_article(scalar.kind)}", hint=hint)
    shown = _shorten(scalar.written)
    got = "null" if scalar.kind == "null" else f"the {scalar.kind} {shown}"
    quoted = f"write '{shown}' in quotes"
    hint = "" if not is_text else f"image tags are text: {quoted}" if _TAG_LISTS.intersection(path) else example or quoted
    return document.error(path, f"expected {_join(expected, 'or')}, got {got}", hint=hint)


def _with_article(kind: str) -> str:
    return kind if kind == "null" else f"a {kind}"


def _describe(error: ValidationError, scalar: Scalar | None, *, secret: bool) -> str:
    # As written: numbers of unusual forms are read as another value.
    shown = _shorten(scalar.written if scalar else error.instance)
    value = "" if secret else f" '{shown}'" if isinstance(error.instance, str) else f" {shown}"
    got = f", got{value}" if value else ""
    limit = error.validator_value
    messages = {
        "minimum": f"must be at least {limit}{got}",
        "maximum": f"must be at most {limit}{got}",
        "minLength": "must not be empty",
        "minItems": "the list must not be empty",
        "const": f"expected {limit}{got}",
        "enum": f"expected {_join([str(one) for one in limit], 'or')}{got}" if isinstance(limit, list) else "",
        "pattern": f"invalid {_pattern_kind(str(limit))}{value}",
    }
    return messages.get(str(error.validator), f"invalid value{value}")


def _pattern_kind(pattern: str) -> str:
    return next((kind for end, kind in _PATTERN_KINDS.items() if pattern.endswith(end)), "value")


def _hint(error: ValidationError) -> str:
    if error.validator != "pattern":
        return ""
    schema = _schema_of(error)
    kind = _pattern_kind(str(error.validator_value))
    if example := _example(schema):
        return f"{_RATE_FORM}, {example}" if kind == "rate" else example
    return _KIND_HINTS.get(kind, str(schema.get("description", "")))


def _example(schema: Any) -> str:
    examples = schema.get("examples") if isinstance(schema, dict) else None
    return f"such as {', '.join(str(one) for one in examples[:4])}" if examples and all(isinstance(one, str | int) for one in examples) else ""


def _shorten(value: object) -> str:
    text = _LOGIN.sub("//***@", sanitize_message(str(value)))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _join(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else "something else"


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Iterable) else []
