"""A conversion written to a folder: whole, or not at all, and never over what is there."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from imgsync.convert.model import Conversion
from imgsync.convert.writer import mirrors_text, registries_text
from imgsync.errors import UsageError


def write_files(conversion: Conversion, folder: str) -> tuple[str, ...]:
    """
    Write `mirrors.d/FORMAT.yaml` and, where there is trust to tell, `registries.yaml` below *folder*; return their paths.

    Raises:
        UsageError: One of them exists, or cannot be written; then none is.
    """
    texts = {Path(folder, "mirrors.d", f"{conversion.format}.yaml"): mirrors_text(conversion), Path(folder, "registries.yaml"): registries_text(conversion)}
    wanted = {path: text for path, text in texts.items() if text}
    there = [str(path) for path in wanted if os.path.lexists(path)]
    if there:
        raise UsageError(f"{' and '.join(there)} {'exists' if len(there) == 1 else 'exist'} already", hint="name another folder, or move it away")
    made: list[Path] = []
    try:
        for path, text in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.{os.getpid()}")
            made.append(partial)
            partial.write_text(text, encoding="utf-8")
        for path, partial in zip(wanted, list(made), strict=True):
            partial.rename(path)
            made.append(path)
    except OSError as error:
        for path in made:
            with contextlib.suppress(OSError):
                path.unlink()
        raise UsageError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
    return tuple(str(path) for path in wanted)
