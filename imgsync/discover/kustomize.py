"""
Render a kustomization with `kubectl kustomize`, from local files only.

kustomize downloads what a URL names, so a kustomization that names one is refused before it is rendered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from imgsync.config.document import Document
from imgsync.config.document import Path as Place
from imgsync.config.yaml_reader import parse_documents, read_limited
from imgsync.discover.paths import is_file, is_folder, is_there
from imgsync.discover.run_tool import DEFAULT_LIMITS, ToolLimits, run_tool
from imgsync.errors import FileError
from imgsync.text.sanitize import sanitize_message

FILES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# Each entry is a file or a folder.
_PATHS = ("resources", "bases", "components", "crds")
# Each entry is a file of further settings, or those settings.
_SETTINGS = ("generators", "transformers", "validators", "configurations")
# Text that is put into documents, and never loaded.
_DATA = frozenset(
    ("literals", "commonAnnotations", "commonLabels", "labels", "annotations", "metadata", "patch", "options", "value", "select", "reject", "images")
)
_REMOTE = re.compile(r"(?:[\w.-]+=)?(?:[a-z][a-z0-9+.-]*:(?::|//)|[\w.-]+@[\w.-]+:)", re.IGNORECASE)
_FOLDERS = 1000
_DOWNLOAD = "imgsync does not download; save it as a file, or give what `kubectl kustomize` prints"


def find_kustomization(folder: str) -> str:
    """Return the kustomization file in *folder*, "" if there is none."""
    return next((file for name in FILES if is_file(file := str(Path(folder, name)))), "")


def render_kustomization(kubectl: str, folder: str, *, limits: ToolLimits = DEFAULT_LIMITS) -> bytes:
    """
    Return the documents of the kustomization in *folder*, which `find_remote` has checked.

    Raises:
        ToolError: kubectl fails, or exceeds a limit.
    """
    return run_tool(kubectl, ["kustomize", str(Path(folder).absolute())], limits=limits)


def find_remote(folder: str) -> FileError | None:
    """Return the first entry that is not local, if any."""
    waiting, seen = [folder], set[str]()
    while waiting:
        current = waiting.pop()
        if os.path.realpath(current) in seen:
            continue
        seen.add(os.path.realpath(current))
        file = find_kustomization(current)
        if not file:
            return FileError(current, 0, 0, "", "the folder has no kustomization.yaml")
        if len(seen) > _FOLDERS:
            return FileError(file, 0, 0, "", f"it uses more than {_FOLDERS:,} other folders")
        documents, errors = _read(file)
        errors += [error for document in documents for error in _check_document(document, current)]
        if errors:
            return errors[0]
        waiting += [str(Path(current, text)) for one in documents for _, text in _list_paths(one) if is_folder(Path(current, text))]
    return None


def _read(file: str) -> tuple[list[Document], list[FileError]]:
    try:
        return parse_documents(read_limited(file), file=file)
    except OSError as error:
        return [], [FileError(file, 0, 0, "", f"cannot be read: {error.strerror}")]


def _read_settings(file: str, folder: str, text: str) -> tuple[list[Document], list[FileError]]:
    """Read an entry of `_SETTINGS`: settings, or the file that has them."""
    if "\n" in text:
        return parse_documents(text.encode(), file=file)
    named = Path(folder, text)
    return _read(str(named)) if is_file(named) else ([], [])


def _check_document(document: Document, folder: str) -> Iterator[FileError]:
    if not isinstance(document.value, dict):
        yield document.error((), "expected a mapping")
        return
    if "helmCharts" in document.value:
        yield document.error(("helmCharts",), "kustomize would download charts", hint=_DOWNLOAD, at_key=True)
    yield from _find_urls(document)
    for place, text in _list_paths(document):
        if not is_there(Path(folder, text)):
            yield document.error(place, f"{sanitize_message(text)} is not a local file or folder", hint=_DOWNLOAD)
    for place, text in _list_entries(document, _SETTINGS):
        documents, errors = _read_settings(document.file, folder, text)
        # Those of a text inside the file have no line of the file.
        yield from (document.error(place, error.message, hint=error.hint) for one in documents for error in (*errors, *_find_urls(one)))


def _list_paths(document: Document) -> Iterator[tuple[Place, str]]:
    return _list_entries(document, _PATHS)


def _list_entries(document: Document, names: tuple[str, ...]) -> Iterator[tuple[Place, str]]:
    for name in names:
        entries = document.value.get(name)
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, str):
                yield (name, number), entry


def _find_urls(document: Document) -> Iterator[FileError]:
    """Yield an error for each text that kustomize may download."""
    for place, text in _walk(document.value, ()):
        if _REMOTE.match(text):
            yield document.error(place, f"kustomize would load {sanitize_message(text)}", hint=_DOWNLOAD)


def _walk(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield the texts in *value* that are not data."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _walk(one, (*place, number))
    elif isinstance(value, dict):
        for name, one in value.items():
            if name not in _DATA:
                yield from _walk(one, (*place, name))
