"""
Format one file of declarations.

The result is read again: its values and comments must be those of before, and formatting it again must not change it.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

from imgsync.config.schema_check import check_schema
from imgsync.config.schema_files import read_schema
from imgsync.config.unknown_settings import is_registry_settings
from imgsync.config.yaml_reader import parse_documents
from imgsync.errors import ConfigError, FileError
from imgsync.fmt.comments import attach_comments, find_comments
from imgsync.fmt.drop_empty import drop_empty
from imgsync.fmt.order_keys import order_keys
from imgsync.fmt.read_tree import SIMPLER, UnreadableError, read_documents
from imgsync.fmt.write_tree import write_documents

_UNSAFE = "the file cannot be formatted without changing its meaning or its comments"


def format_text(data: bytes, *, file: str) -> str:
    """
    Return the declarations in *data* in the one layout.

    Raises:
        ConfigError: They are invalid, or in a form of YAML that cannot be kept.
    """
    values = _read_values(data, file=file)
    text = "\n".join(data.decode("utf-8-sig").replace("\r\n", "\n").split("\r"))
    try:
        formatted = _lay_out(text)
        is_safe = _read_values(formatted.encode(), file=file) == values and _list_comments(formatted) == _list_comments(text)
        if is_safe and _lay_out(formatted) == formatted:
            return formatted
        unreadable = UnreadableError(1, 1, SIMPLER)
    except ConfigError:
        unreadable = UnreadableError(1, 1, SIMPLER)
    except UnreadableError as error:
        unreadable = error
    raise ConfigError((FileError(file, unreadable.line, unreadable.column, "", _UNSAFE, unreadable.advice),))


def has_registry_settings(data: bytes, *, file: str) -> bool:
    """Return whether *data* is a registries.yaml, not declarations."""
    documents, _ = parse_documents(data, file=file)
    return any(is_registry_settings(document.value) for document in documents)


def _read_values(data: bytes, *, file: str) -> list[Any]:
    documents, errors = parse_documents(data, file=file)
    errors += [error for document in documents for error in check_schema(document, "mirror")]
    if errors:
        raise ConfigError(tuple(dict.fromkeys(errors)))
    return [document.value for document in documents]


def _lay_out(text: str) -> str:
    documents = read_documents(text)
    attach_comments(text, documents)
    documents = drop_empty(documents)
    for document in documents:
        order_keys(document.root, _read_schema())
    return write_documents(documents)


def _list_comments(text: str) -> Counter[str]:
    return Counter(comment.text for comment in find_comments(text, read_documents(text)))


@cache
def _read_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(read_schema("mirror"))
    return schema
