"""Check the declarations of a commit, and write them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from imgsync.config.git_objects import RunGit, TreeEntry, is_declaration, list_entries
from imgsync.errors import ConfigError, FileError
from imgsync.serve.declarations.git_store import GitStore
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes

FILES_LIMIT = 10_000
FILE_LIMIT_BYTES = 8 << 20
ALL_LIMIT_BYTES = 64 << 20
_NAME_LIMIT_BYTES = 200
_SHOWN_ERRORS = 20


def find_declarations(run_git: RunGit, commit: str, paths: Sequence[PurePosixPath], lock_folder: PurePosixPath | None) -> list[TreeEntry]:
    """
    Return the files at *paths* in *commit*, and those of *lock_folder*.

    Of a file in *paths*, those beside it are included, since they may declare mirrors too.

    Raises:
        ConfigError: A path is missing; a file is a link, is too large, or has an odd name; or there are too many.
    """
    found: dict[str, TreeEntry] = {}
    errors: list[FileError] = []
    for path in paths:
        entries = list(list_entries(run_git, commit, path, with_sizes=True))
        is_file = any(entry.name == str(path) and not entry.is_folder for entry in entries)
        if not entries:
            errors.append(FileError(str(path), 0, 0, "", "no such file or folder in this commit", "--git-path names another"))
        _add(found, errors, entries, path)
        if is_file:
            _add(found, errors, (one for one in list_entries(run_git, commit, path.parent, with_sizes=True) if one.is_regular), path.parent)
    if lock_folder is not None:
        _add(found, errors, list_entries(run_git, commit, lock_folder, with_sizes=True), lock_folder)
    if len(found) > FILES_LIMIT:
        errors.append(FileError(str(paths[0]), 0, 0, "", f"more than {FILES_LIMIT} files"))
    if sum(entry.size_bytes for entry in found.values()) > ALL_LIMIT_BYTES:
        errors.append(FileError(str(paths[0]), 0, 0, "", f"the files have more than {format_bytes(ALL_LIMIT_BYTES)} together"))
    if errors:
        raise ConfigError(tuple(errors[:_SHOWN_ERRORS]))
    return list(found.values())


def _add(found: dict[str, TreeEntry], errors: list[FileError], entries: Iterator[TreeEntry] | Sequence[TreeEntry], path: PurePosixPath) -> None:
    for entry in entries:
        if entry.is_folder or not is_declaration(entry, path):
            continue
        problem = _find_problem(entry, path)
        if problem:
            if len(errors) < _SHOWN_ERRORS:
                errors.append(FileError(sanitize_short(entry.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")), 0, 0, "", *problem))
        else:
            found[entry.name] = entry


def _find_problem(entry: TreeEntry, path: PurePosixPath) -> tuple[str, str] | None:
    """Return message and hint about an entry that is not read."""
    name = entry.name if path == PurePosixPath() else entry.name.removeprefix(f"{path}/")
    is_inside = entry.name == str(path) or (("/" not in name) and (name != entry.name or path == PurePosixPath()))
    if not is_inside or not name.isprintable() or len(name.encode("utf-8", "replace")) > _NAME_LIMIT_BYTES:
        return "a name with odd characters", "rename the file"
    if entry.is_link:
        return "symbolic links are not followed", "put the file itself here"
    if not entry.is_regular:
        return "not a regular file", "submodules are not read; put the declarations themselves here"
    if entry.size_bytes > FILE_LIMIT_BYTES:
        return f"larger than {format_bytes(FILE_LIMIT_BYTES)}", "split it"
    return None


def write_declarations(store: GitStore, entries: Sequence[TreeEntry], folder: Path) -> None:
    """
    Write *entries* below *folder*, which then is complete.

    Raises:
        GitError: They cannot be read.
        OSError: They cannot be written.
    """
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Only the last step makes it visible: a process that was killed leaves no half of a version.
    made = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
    try:
        for entry, content in store.read_blobs(entries, limit_bytes=ALL_LIMIT_BYTES):
            target = made / entry.name
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target.write_bytes(content)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
