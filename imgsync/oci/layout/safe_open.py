"""
Open files and folders of a layout, which may be hostile.

No link is followed, and only regular files are opened: a device or a named pipe might block, or do something when it is opened.
"""

from __future__ import annotations

import contextlib
import os
import stat

from imgsync.errors import LayoutError
from imgsync.text.sanitize import sanitize_message

_KINDS = {stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFREG: "a file", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
_NOT_FOLLOWED = "imgsync follows no link out of a layout and reads regular files only; copy the layout with `cp -rL`, if you trust it"


def open_top(path: str) -> int:
    """
    Open the folder of a layout; a link may name it.

    Raises:
        OSError: It is not there, no folder, or cannot be opened.
    """
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(name: str, *, parent: int, where: str) -> int | None:
    """
    Open a folder below *parent*; return None if it is not there.

    Raises:
        LayoutError: It is a link, or no folder; the message says that it is in *where*.
        OSError: It cannot be opened.
    """
    if not _is_kind(name, stat.S_IFDIR, parent=parent, where=where):
        return None
    with contextlib.suppress(FileNotFoundError):
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    return None


def open_file(name: str, *, parent: int, where: str, access: int = os.O_RDONLY) -> int | None:
    """
    Open a regular file, to read or for *access*; None without one.

    Raises:
        LayoutError: It is a link, or no regular file.
        OSError: It cannot be opened.
    """
    if not _is_kind(name, stat.S_IFREG, parent=parent, where=where):
        return None
    try:
        # It may have been exchanged meanwhile: a named pipe does not block, and then it is found out.
        opened = os.open(name, access | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise LayoutError(f"{where}/{name} is not a regular file", hint=_NOT_FOLLOWED)
    return opened


def open_to_lock(name: str, *, parent: int, where: str) -> int | None:
    """
    Open a regular file to lock it; return None without one.

    Raises:
        LayoutError: It is a link, or no regular file.
        OSError: It cannot be opened.
    """
    try:
        # NFS grants an exclusive lock only on a file that is open to be written.
        return open_file(name, parent=parent, where=where, access=os.O_RDWR)
    except PermissionError:
        # The file of another user; elsewhere, to read it is enough.
        return open_file(name, parent=parent, where=where)


def find_size(name: str, *, parent: int, where: str) -> int | None:
    """
    Return the size of a regular file in bytes, if any.

    Raises:
        LayoutError: It is a link, or no regular file.
    """
    found = _find(name, parent=parent)
    if found is None:
        return None
    _check_kind(name, found, stat.S_IFREG, where=where)
    return found.st_size


def _is_kind(name: str, kind: int, *, parent: int, where: str) -> bool:
    found = _find(name, parent=parent)
    if found is None:
        return False
    _check_kind(name, found, kind, where=where)
    return True


def _find(name: str, *, parent: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _check_kind(name: str, found: os.stat_result, kind: int, *, where: str) -> None:
    if stat.S_IFMT(found.st_mode) != kind:
        is_what = _KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise LayoutError(f"{sanitize_message(where)}/{sanitize_message(name)} is {is_what}, not {_KINDS[kind]}", hint=_NOT_FOLLOWED)
