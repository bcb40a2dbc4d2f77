"""Decode JSON into dataclasses, without guessing or converting."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from imgsync.oci.spec.reference import Reference, Repository


def decode_field(document: object, name: str, kind: Any, *, default: Any = dataclasses.MISSING) -> Any:
    """
    Return the field *name* of *document* as a *kind*.

    Raises:
        ValueError: The field has another type, or is missing and has no default.
    """
    if isinstance(document, Mapping) and name in document:
        return decode_value(kind, document[name], name)
    if default is dataclasses.MISSING:
        raise ValueError(f"{name!r} is missing")
    return default


def decode_value(kind: Any, found: object, name: str) -> Any:
    """
    Return *found* as a *kind*.

    Ignores fields that a later version added.

    Args:
        kind: A dataclass, or a type as annotations write it.
        found: The JSON value.
        name: The name of the field, for the error.

    Raises:
        ValueError: *found* has another type.
    """
    if kind is Any:
        return found
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        kinds = [one for one in inside if one is not types.NoneType]
        return None if found is None and len(kinds) < len(inside) else decode_value(kinds[0], found, name)
    if origin is tuple and isinstance(found, list):
        return tuple(decode_value(inside[0], one, name) for one in found)
    if origin is dict and isinstance(found, dict):
        return {key: decode_value(inside[1], one, name) for key, one in found.items()}
    if dataclasses.is_dataclass(kind) and isinstance(found, dict):
        values = {one: decode_field(found, one, inner, default=default) for one, inner, default in _list_fields(typing.cast("Any", kind))}
        return typing.cast("Any", kind)(**{one: value for one, value in values.items() if value is not _ABSENT})
    return _decode_scalar(kind, found, name)


def _decode_scalar(kind: Any, found: object, name: str) -> Any:
    if kind is Reference and isinstance(found, str):
        return _decode_reference(found, name)
    if typing.get_origin(kind) is None and isinstance(kind, type) and _is_of_kind(kind, found):
        return kind(found)
    raise ValueError(f"{name!r} has the wrong type")


def _decode_reference(text: str, name: str) -> Reference:
    """
    Return the reference written as *text*.

    Its grammar is not checked: a report has `***` where a secret was hidden.

    Raises:
        ValueError: *text* does not have the parts of a reference.
    """
    head, _, digest = text.partition("@")
    repository, colon, tag = head.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = head, ""
    reference = Reference(_split_repository(repository), tag, digest)
    if str(reference) != text:
        raise ValueError(f"{name!r} is not a reference")
    return reference


@functools.lru_cache(maxsize=4096)
def _split_repository(text: str) -> Repository:
    """Return the repository *text*, one value for all its tags."""
    registry, _, path = text.partition("/")
    return Repository(registry, path)


_ABSENT = object()
_LARGEST = 1 << 63


@functools.cache
def _list_fields(kind: Any) -> tuple[tuple[str, Any, Any], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name], field.default if field.default is dataclasses.MISSING else _ABSENT) for field in dataclasses.fields(kind))


def _is_of_kind(kind: type, found: object) -> bool:
    if issubclass(kind, Enum):
        return found in [one.value for one in kind]
    if type(found) is int and abs(found) >= _LARGEST:
        return False
    if kind is float:
        # JSON may write a whole number of seconds as an integer.
        return type(found) is int or (type(found) is float and math.isfinite(found))
    return type(found) is kind
