"""The schema's verdict in the user's words: every error a fault with its place and, where it can be guessed, the remedy."""

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

from imgsync.config.yaml_reader import Document, Path
from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_message

_TYPES = {"string": "text", "integer": "a whole number", "boolean": "true or false", "array": "a list", "object": "a mapping"}
_SHOWN = 60
_FOLDER = pathlib.Path(__file__).parents[1] / "schema"


@cache
def schema_text(name: str) -> str:
    """Return the JSON schema *name* ("mirror" or "registries") as it is shipped."""
    return (_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")


def _fits(_validator: object, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    """Yield an error for a text that *pattern* does not fit, by JSON Schema's `$`: the end, where Python's lets a line's end follow."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield ValidationError(f"this does not match {pattern}")


_Validator: Any = extend(Draft202012Validator, {"pattern": _fits})  # type: ignore[no-untyped-call]


@cache
def _validator(name: str) -> Draft202012Validator:
    # An empty registry: a `$ref` to somewhere else is never fetched.
    validator: Draft202012Validator = _Validator(json.loads(schema_text(name)), registry=Registry())
    return validator


def _schema_of(error: ValidationError) -> dict[str, Any]:
    return dict(error.schema) if isinstance(error.schema, Mapping) else {}


def check_schema(document: Document, name: str, *, secret: bool = False) -> list[FileError]:
    """Return a fault for everything in *document* that the schema *name* does not allow; *secret* values are not shown."""
    return [fault for error in _validator(name).iter_errors(document.value) for fault in _faults(document, error, secret=secret)]


def _faults(document: Document, error: ValidationError, *, secret: bool) -> Iterator[FileError]:
    path: Path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        yield from _unknown(document, error, path)
    elif error.validator == "required":
        missing = [name for name in _names(error.validator_value) if name not in _names(error.instance)]
        yield document.fault(path, f"{_listed(missing)} must be given")
    elif error.validator in {"anyOf", "oneOf"}:
        yield from _best_branch(document, error, path, secret=secret)
    elif error.validator == "type":
        yield _wrong_type(document, path, [error.validator_value], error.instance, secret=secret, example=_example(_schema_of(error)))
    else:
        yield document.fault(path, _words(error, secret=secret), hint=_example(_schema_of(error)))


def _unknown(document: Document, error: ValidationError, path: Path) -> Iterator[FileError]:
    known = list(_schema_of(error).get("properties", ()))
    for name in _names(error.instance):
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(known)}"
            yield document.fault((*path, name), "unknown setting", hint=hint, at_key=True)


def _best_branch(document: Document, error: ValidationError, path: Path, *, secret: bool) -> Iterator[FileError]:
    """Tell about the branch whose type fits; when none does, about the types that would."""
    context = error.context or []
    own_depth = len(error.absolute_path)
    mistyped = {one.schema_path[0] for one in context if one.validator == "type" and len(one.absolute_path) == own_depth}
    # A mapping is none of the words of a list: that branch is not the one that was meant.
    worded = {"const"} if isinstance(error.instance, str) else {"const", "enum"}
    fitting = [one for one in context if one.schema_path[0] not in mistyped and not (one.validator in worded and len(one.absolute_path) == own_depth)]
    if fitting:
        for one in fitting:
            yield from _faults(document, one, secret=secret)
        return
    branches = [branch for branch in _schema_of(error).get("anyOf", ()) if isinstance(branch, dict)]
    consts = [f"'{branch['const']}'" for branch in branches if "const" in branch]
    enums = [f"'{value}'" for branch in branches for value in branch.get("enum", ())]
    types = [branch.get("type") for branch in branches if "type" in branch] or (["object"] if any("$ref" in branch for branch in branches) else [])
    if isinstance(error.instance, str) and (consts or enums):
        close = difflib.get_close_matches(error.instance, [text.strip("'") for text in (*consts, *enums)], n=1)
        wanted = [*consts, *enums, *(_TYPES.get(str(kind), str(kind)) for kind in types)]
        yield document.fault(
            path, f"'{_shown(error.instance)}' is not known here; it may be {_listed(wanted, 'or')}", hint=f"did you mean '{close[0]}'?" if close else ""
        )
        return
    yield _wrong_type(document, path, types, error.instance, secret=secret)


def _wrong_type(document: Document, path: Path, types: Iterable[Any], instance: object, *, secret: bool, example: str = "") -> FileError:
    wanted = [_TYPES.get(str(kind), str(kind)) for kind in types]
    written = document.written.get(path)
    if written is None:
        found = {"str": "text", "dict": "a mapping", "list": "a list"}.get(type(instance).__name__, "something else")
        return document.fault(path, f"this is {found}, where {_listed(wanted, 'or')} is wanted")
    if secret or not written.written:
        return document.fault(
            path, f"this is {written.kind}, where {_listed(wanted, 'or')} is wanted", hint="put it in quotes" if "text" in wanted and written.written else ""
        )
    shown = _shown(written.written)
    if "text" not in wanted:
        return document.fault(path, f"{shown} is {written.kind}, where {_listed(wanted, 'or')} is wanted")
    subject = "image tags are text" if "tags" in path else "text is wanted here"
    return document.fault(path, f"{shown} is {written.kind}; {subject}", hint=example or f"write '{shown}' with quotes")


def _words(error: ValidationError, *, secret: bool) -> str:
    value = "this" if secret else f"'{_shown(error.instance)}'"
    limit = error.validator_value
    known = {
        "minimum": f"{error.instance} is less than {limit}",
        "maximum": f"{error.instance} is more than {limit}",
        "minLength": "this is empty",
        "minItems": "the list is empty",
        "const": f"{value} is not known; it has to be {limit}",
        "enum": f"{value} is not known; it may be {_listed([str(one) for one in limit], 'or') if isinstance(limit, list) else ''}",
        "pattern": f"{value} does not fit: {_schema_of(error).get('description', '')}".rstrip(": "),
    }
    return known.get(str(error.validator), f"{value} does not fit")


def _example(schema: Any) -> str:
    examples = schema.get("examples") if isinstance(schema, dict) else None
    return f"such as {', '.join(str(one) for one in examples[:4])}" if examples and all(isinstance(one, str | int) for one in examples) else ""


def _shown(value: object) -> str:
    text = sanitize_message(str(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _listed(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else "something else"


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Iterable) else []
