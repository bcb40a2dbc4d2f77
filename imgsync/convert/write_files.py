"""Write all files of a conversion, or none."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imgsync.config.yaml_reader import parse_documents, read_limited
from imgsync.convert.conversion import Conversion
from imgsync.convert.format_yaml import format_mirror_files, format_registries
from imgsync.errors import UsageError


def write_files(conversion: Conversion, folder: str) -> tuple[str, ...]:
    """
    Write `mirrors.d/FORMAT.yaml` and, if needed, more files and `registries.yaml` below *folder*.

    Returns:
        The paths of the written files.

    Raises:
        UsageError: A file exists or cannot be written; no file was written.
    """
    texts = _format_files(conversion, folder)
    existing = [str(path) for path in texts if os.path.lexists(path)]
    if existing:
        raise UsageError(f"{' and '.join(existing)} already {'exists' if len(existing) == 1 else 'exist'}", hint="choose another folder or move the file away")
    created: list[Path] = []
    try:
        _write(texts, created)
    except OSError as error:
        for path in created:
            with contextlib.suppress(OSError):
                path.unlink()
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return tuple(str(path) for path in texts)


def _format_files(conversion: Conversion, folder: str) -> dict[Path, str]:
    texts = {Path(folder, "mirrors.d", name): text for name, text in format_mirror_files(conversion).items()}
    registries = format_registries(conversion)
    return texts | ({Path(folder, "registries.yaml"): registries} if registries else {})


def _write(texts: dict[Path, str], created: list[Path]) -> None:
    """Write each text; add created files to *created*."""
    temporary_paths = []
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary_paths.append(temporary)
        created.append(temporary)
        temporary.write_text(text, encoding="utf-8")
    for path, temporary in zip(texts, temporary_paths, strict=True):
        temporary.rename(path)
        created.append(path)


def list_names(folder: str) -> frozenset[str]:
    """Return the names of the mirrors declared below *folder*."""
    names: set[str] = set()
    for path in sorted(Path(folder, "mirrors.d").glob("*.y*ml")):
        try:
            documents, _ = parse_documents(read_limited(str(path)), file=str(path))
        except OSError:
            continue
        for document in documents:
            mirrors = document.value.get("mirrors") if isinstance(document.value, dict) else None
            names.update(str(one.get("name")) for one in (mirrors if isinstance(mirrors, list) else ()) if isinstance(one, dict))
    return frozenset(names)
