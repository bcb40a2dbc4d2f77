"""Files are written whole or not at all, on any file system."""

from __future__ import annotations

import errno
import os

import pytest

from imgsync.system.atomic_write import write_atomically


def test_file_system_without_modes_is_no_error(tmp_path, monkeypatch):
    """FAT, as on most USB sticks, refuses to change the mode of a file."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "chmod", refuse)

    write_atomically(tmp_path / "inside.json", [b"{}"], private=False)

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("inside.json", b"{}")]


def test_old_file_stays_if_the_new_one_fails(tmp_path):
    """And nothing else is left in the folder."""
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def pieces():
        yield b"new"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, pieces())

    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]
