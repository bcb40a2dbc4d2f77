"""
Choose the reader of a file by its name and content.

A YAML document is read by its shape, since files of many programs have the same name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from imgsync.discover.compose import find_in_compose, is_compose
from imgsync.discover.dockerfile import find_in_dockerfile
from imgsync.discover.documents import decode_wide, find_in_each
from imgsync.discover.github import find_in_action, find_in_workflow, is_action, is_workflow
from imgsync.discover.gitlab import find_in_pipeline, is_pipeline
from imgsync.discover.kubernetes import find_in_objects
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.terraform import find_in_terraform

Finds = Iterator[FoundImage | SkippedInput]

_DOCKERFILE = re.compile(r"(?:(?:docker|container)file(?:\..+)?|.+\.(?:docker|container)file)", re.IGNORECASE)
_NOT_DOCKERFILES = (".dockerignore", ".containerignore", ".md")
_DOCUMENTS = frozenset({".yaml", ".yml", ".json"})
_TERRAFORM = frozenset({".tf", ".tofu", ".tfvars"})
_FROM = re.compile(rb"^[ \t]*FROM[ \t]+\S", re.MULTILINE | re.IGNORECASE)
_FIELD = re.compile(rb"^[ \t]*(?:-[ \t]+)?[\"']?[A-Za-z0-9_./-]+[\"']?:(?:[ \t\r]|$)", re.MULTILINE)
_BINARY_LOOKED_AT = 8192


def is_read_in_folders(name: str) -> bool:
    """Return whether a folder's file of this name is read."""
    return _is_dockerfile(name) or PurePath(name).suffix.lower() in _DOCUMENTS | _TERRAFORM


def find_in_data(data: bytes, *, file: str) -> Finds:
    """Yield the images in *data*, or why it is not read."""
    data = decode_wide(data)
    name = PurePath(file).name
    reader = _choose_by_name(name) or _choose_by_content(data)
    if b"\0" in data[:_BINARY_LOOKED_AT] or reader is None:
        yield SkippedInput(file, 0, "it is not a file that names images", "give YAML, JSON, a Dockerfile, or a folder")
        return
    yield from reader(data, file=file)


def find_in_yaml(data: bytes, *, file: str) -> Finds:
    """Yield the images of each document in *data*, YAML or JSON."""
    return find_in_each(data, lambda document: _choose_by_shape(document.value)(document, file=file), file=file)


def _choose_by_shape(value: Any) -> Callable[..., Finds]:
    shapes = ((is_compose, find_in_compose), (is_workflow, find_in_workflow), (is_action, find_in_action), (is_pipeline, find_in_pipeline))
    return next((reader for has_shape, reader in shapes if has_shape(value)), find_in_objects)


def _is_dockerfile(name: str) -> bool:
    return _DOCKERFILE.fullmatch(name) is not None and not name.lower().endswith(_NOT_DOCKERFILES)


def _choose_by_name(name: str) -> Callable[..., Finds] | None:
    if _is_dockerfile(name):
        return find_in_dockerfile
    suffix = PurePath(name).suffix.lower()
    return find_in_terraform if suffix in _TERRAFORM else find_in_yaml if suffix in _DOCUMENTS else None


def _choose_by_content(data: bytes) -> Callable[..., Finds] | None:
    if _FROM.search(data) is not None:
        return find_in_dockerfile
    return find_in_yaml if data.lstrip()[:1] in {b"{", b"["} or _FIELD.search(data) is not None else None
