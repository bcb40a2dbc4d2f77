"""Check a document against its JSON Schema, with errors in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry

from imgsync.config.corrections import correct_boolean, correct_list, correct_number, correct_text, format_flow, name_pattern
from imgsync.config.document import LOGIN, Document, Path
from imgsync.config.schema_files import read_schema
from imgsync.config.unknown_settings import explain_other_tool, explain_unknown, is_registry_settings, recognize_other_tool
from imgsync.errors import FileError
from imgsync.text.near import find_near
from imgsync.text.sanitize import sanitize_message

_TYPES = {"string": "text", "integer": "a whole number", "boolean": "true or false", "array": "a list", "object": "a mapping"}
_KIND_HINTS = {
    "rate": "write requests per s, m, h or d, such as 10/s, 100/m, 200/6h",
    "duration": "such as 30s, 15m, 6h, 90d, 1h30m",
    "size": "such as 512KiB, 64MiB",
    "URL": "such as https://host.internal:8443",
    "platform": "write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64",
}
# Their hint says how to write one; for the others an example does.
_FORMS = {"rate", "platform"}
_TAG_LISTS = {"names", "include", "exclude"}
# Where text with one of these characters belongs, which no tag has.
_PATTERN_SIGNS = (("regex", "^$"), ("include", "*?["))
_SHOWN_CHARACTERS = 60


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
    tool = recognize_other_tool(document.value)
    if tool:
        return [document.error((), f"this looks like {tool}", hint=explain_other_tool(tool, document.file))]
    if name == "mirror" and is_registry_settings(document.value):
        hint = "PATH names declarations, such as mirrors.d; --registries names this file, and `fmt` does not format it"
        return [document.error((), "these are registry settings, not declarations", hint=hint)]
    explainer = _Explainer(document, name, secret=secret)
    # Several missing settings are one error.
    return list(dict.fromkeys(found for error in _load_validator(name).iter_errors(document.value) for found in explainer.explain(error)))


class _Explainer:
    """Puts the errors of one document into the user's words."""

    def __init__(self, document: Document, schema: str, *, secret: bool) -> None:
        self._document = document
        self._schema = schema
        self._secret = secret

    def explain(self, error: ValidationError) -> Iterator[FileError]:
        path: Path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            yield from self._explain_unknown(error, path)
        elif error.validator == "required":
            yield from self._explain_missing(error, path)
        elif error.validator in {"anyOf", "oneOf"}:
            yield from self._explain_branches(error, path)
        elif error.validator == "type":
            yield self._explain_type([_schema_of(error)], error.instance, path)
        else:
            yield self._document.error(path, self._describe(error, path), hint=self._hint(error))

    def _explain_unknown(self, error: ValidationError, path: Path) -> Iterator[FileError]:
        schema = _schema_of(error)
        known = list(schema.get("properties", ()))
        free = list(schema.get("patternProperties", ()))
        for name in _names(error.instance):
            if name not in known and not any(re.search(pattern, name) for pattern in free):
                hint = explain_unknown(name, known, path, schema=self._schema)
                yield self._document.error((*path, name), "unknown setting", hint=hint, at_key=True)

    def _explain_missing(self, error: ValidationError, path: Path) -> Iterator[FileError]:
        missing = [f"'{name}'" for name in _names(error.validator_value) if name not in _names(error.instance)]
        hint = "begin the file with `version: 1`" if missing == ["'version'"] else ""
        yield self._document.error(path, f"missing required {'setting' if len(missing) == 1 else 'settings'} {_join(missing)}", hint=hint)

    def _explain_branches(self, error: ValidationError, path: Path) -> Iterator[FileError]:
        """Yield the errors of the branch whose type matches, if any."""
        context = error.context or []
        own_depth = len(error.absolute_path)
        mistyped = {one.schema_path[0] for one in context if one.validator == "type" and len(one.absolute_path) == own_depth}
        # A mapping was never meant as one of the keywords.
        keyword_branches = {"const"} if isinstance(error.instance, str) else {"const", "enum"}
        fitting = [one for one in context if one.schema_path[0] not in mistyped]
        fitting = [one for one in fitting if one.validator not in keyword_branches or len(one.absolute_path) != own_depth]
        if fitting:
            for one in fitting:
                yield from self.explain(one)
            return
        examples = {"examples": _schema_of(error).get("examples", [])}
        branches = [branch | ({} if "examples" in branch else examples) for branch in _schema_of(error).get("anyOf", ())]
        keywords = [str(value) for branch in branches for value in (*([branch["const"]] if "const" in branch else []), *branch.get("enum", ()))]
        if isinstance(error.instance, str) and keywords:
            expected = [*(f"'{one}'" for one in keywords), *_name_types(branch for branch in branches if "type" in branch)]
            near = find_near(error.instance, keywords)
            hint = f"did you mean '{near}'?" if near else self._correct_type(branches, error.instance, path)
            yield self._document.error(path, f"expected {_join(expected, 'or')}, got '{_shorten(error.instance)}'", hint=hint)
            return
        yield self._explain_type(branches, error.instance, path)

    def _explain_type(self, schemas: list[dict[str, Any]], instance: object, path: Path) -> FileError:
        expected = _join(_name_types(schemas), "or")
        scalar = self._document.written.get(path)
        hint = self._correct_type(schemas, instance, path)
        if scalar is None:
            kind = {"str": "text", "dict": "a mapping", "list": "a list"}.get(type(instance).__name__, "something else")
            # Text in registries.yaml may be a login that is written in the wrong place.
            shown = f" '{_shorten(instance)}'" if isinstance(instance, str) and self._schema == "mirror" else ""
            return self._document.error(path, f"expected {expected}, got {kind}{shown}", hint=hint)
        if not scalar.written:
            return self._document.error(path, f"expected {expected}, got nothing", hint=hint)
        shown = "" if self._secret else f" {_shorten(scalar.written)}"
        got = "null" if scalar.kind == "null" else f"{'a' if self._secret else 'the'} {scalar.kind}{shown}"
        return self._document.error(path, f"expected {expected}, got {got}", hint=hint)

    def _correct_type(self, schemas: list[dict[str, Any]], instance: object, path: Path) -> str:
        """Return what to write instead of a value of the wrong type."""
        types = {_type_of(schema): schema for schema in schemas}
        scalar = self._document.written.get(path)
        written = instance if isinstance(instance, str) else scalar.written if scalar is not None else ""
        if self._secret:
            return "put it in quotes" if "string" in types and scalar is not None and written else ""
        if "string" in types and not isinstance(instance, str):
            return self._correct_to_text(types["string"], instance, written, path)
        found = ""
        if isinstance(instance, str) and "array" in types:
            found = correct_list(_shorten(written)) if self._schema == "mirror" or path[0] == "allow" else ""
        elif "boolean" in types and written:
            found = correct_boolean(written)
        elif "integer" in types and isinstance(instance, str):
            found = correct_number(written)
        if found:
            return f"write {found}{' without quotes' if found == written else ''}"
        if "array" in types and isinstance(instance, dict):
            return "begin each entry with '- '"
        if "object" in types and (inner := _put_in_first_list(types["object"], instance if isinstance(instance, bool | list) else written)):
            return f"write {inner}"
        return _example(*schemas)

    def _correct_to_text(self, schema: dict[str, Any], instance: object, written: str, path: Path) -> str:
        if isinstance(instance, dict) and len(instance) == 1 and None in instance.values():
            # A template or variable without quotes, such as {flat}, is a mapping in YAML.
            return f"write '{{{_shorten(next(iter(instance)))}}}' in quotes"
        if not written:
            return _hint_of(schema)
        kind = name_pattern(str(schema.get("pattern", "")))
        if kind != "value":
            found = correct_text(kind, written, example=_first_example(schema))
            return f"write {found if kind != 'name' else format_flow(found)}" if found else _hint_of(schema)
        quoted = f"write '{_shorten(written)}' in quotes"
        return f"image tags are text: {quoted}" if _TAG_LISTS.intersection(path) else quoted

    def _describe(self, error: ValidationError, path: Path) -> str:
        # As written: numbers of unusual forms are read as another value.
        scalar = self._document.written.get(path)
        shown = _shorten(scalar.written if scalar else error.instance)
        value = "" if self._secret else f" '{shown}'" if isinstance(error.instance, str) else f" {shown}"
        got = f", got{value}" if value else ""
        limit = error.validator_value
        messages = {
            "minimum": f"must be at least {limit}{got}",
            "maximum": f"must be at most {limit}{got}",
            "minLength": "must not be empty",
            "minItems": "the list must not be empty",
            "const": f"expected {limit}{got}",
            "enum": f"expected {_join([str(one) for one in limit], 'or')}{got}" if isinstance(limit, list) else "",
            "pattern": f"invalid {name_pattern(str(limit))}{value}",
        }
        return messages.get(str(error.validator), f"invalid value{value}")

    def _hint(self, error: ValidationError) -> str:
        if error.validator == "const" and not self._secret:
            remark = " without quotes" if str(error.instance) == str(error.validator_value) else "; there is no other version"
            return f"write {error.validator_value}{remark}"
        if error.validator == "enum" and isinstance(error.instance, str) and not self._secret:
            near = find_near(error.instance, map(str, _names(error.validator_value)))
            return f"did you mean '{near}'?" if near else ""
        if error.validator != "pattern":
            return ""
        schema = _schema_of(error)
        kind = name_pattern(str(error.validator_value))
        found = "" if self._secret else correct_text(kind, str(error.instance), example=_first_example(schema))
        if kind == "name" and not re.search(str(error.validator_value), found):
            found = found.lower() if re.search(str(error.validator_value), found.lower()) else ""
        return f"write {found}" if found else _hint_of(schema)


def _put_in_first_list(schema: dict[str, Any], value: object) -> str:
    """Return *value* in the list of *schema* that may hold it."""
    properties: dict[str, Any] = schema.get("properties", {})
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) and text for text in texts):
        return ""
    name = next(iter(properties), "")
    if name == "names":
        name = next((other for other, signs in _PATTERN_SIGNS if any(set(signs) & set(str(text)) for text in texts)), name)
    if properties.get(name, {}).get("type") != "array":
        return ""
    return format_flow({name: [_shorten(text) for text in texts]})


def _type_of(schema: dict[str, Any]) -> str:
    return str(schema.get("type", "object" if "$ref" in schema else ""))


def _name_types(schemas: Iterable[dict[str, Any]]) -> list[str]:
    """Return what *schemas* expect, in words."""
    found = []
    for schema in schemas:
        kind = name_pattern(str(schema.get("pattern", "")))
        if "const" in schema:
            found.append(f"'{schema['const']}'")
        elif "enum" in schema:
            found += [f"'{value}'" for value in schema["enum"]]
        else:
            found.append(f"a {kind}" if kind not in {"value", "name"} else _TYPES.get(_type_of(schema), _type_of(schema)))
    return found


def _hint_of(schema: dict[str, Any]) -> str:
    """Return how to write a value by the pattern of *schema*."""
    kind = name_pattern(str(schema.get("pattern", "")))
    if kind == "name":
        return str(schema.get("description", ""))
    return _KIND_HINTS[kind] if kind in _FORMS else _example(schema) or _KIND_HINTS.get(kind, "")


def _first_example(schema: dict[str, Any]) -> str:
    return str(next(iter(schema.get("examples") or ()), ""))


def _example(*schemas: dict[str, Any]) -> str:
    """Return examples of *schemas* as a hint, "" if they have none."""
    found = [str(one) if str(one).isalnum() else format_flow(one) for schema in schemas for one in (schema.get("examples") or ())]
    return f"such as {', '.join(found[:4])}" if found else ""


def _shorten(value: object) -> str:
    text = LOGIN.sub("//***@", sanitize_message(str(value)))
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def _join(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}" if words else "something else"


def _names(value: object) -> list[str]:
    return [str(name) for name in value] if isinstance(value, Iterable) else []
