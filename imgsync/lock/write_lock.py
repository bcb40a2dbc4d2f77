"""Write a lock file, the same bytes for the same images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from imgsync.errors import OutputError
from imgsync.lock.model import LockedImage
from imgsync.lock.read_lock import VERSION
from imgsync.system.atomic_write import write_atomically


def format_lock(mirror: str, declaration: str, images: Iterable[LockedImage]) -> Iterator[str]:
    """Yield the lines of a lock; *images* are sorted by their name."""
    yield "# imgsync lock/v1; a bot may change digests\n"
    yield f"version: {VERSION}\n"
    yield f"mirror: {mirror}\n"
    yield f"declaration: {declaration}\n"
    rest = iter(images)
    first = next(rest, None)
    yield "images:\n" if first is not None else "images: []\n"
    if first is not None:
        yield _format_image(first)
    for one in rest:
        yield _format_image(one)


def has_lines(path: Path, lines: Iterable[str]) -> bool:
    """
    Return whether the file at *path* has exactly these *lines*.

    Line endings may be those of Windows, as git writes them there.

    Raises:
        OSError: It cannot be read.
    """
    if not path.exists():
        return False
    with path.open("rb") as file:
        return all(old is not None and new is not None and old.rstrip(b"\r\n") == new.rstrip("\n").encode() for old, new in zip_longest(file, lines))


def write_lock(path: Path, lines: Iterable[str]) -> None:
    """
    Write *lines* to the file at *path*, completely or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        # Resolved: the final rename would replace a symlink by a file.
        write_atomically(path.resolve(), (line.encode() for line in lines), private=False)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}") from error


def _format_image(one: LockedImage) -> str:
    # To YAML, the brackets of an IPv6 address are a list.
    return f'  - image: "{one.reference}"\n' if one.image.startswith("[") else f"  - image: {one.reference}\n"
