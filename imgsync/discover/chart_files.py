"""Read the metadata of a chart: a folder or a packed chart."""

from __future__ import annotations

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from imgsync.discover.paths import is_file, is_link_out_of
from imgsync.errors import ImgsyncError
from imgsync.system.dataclass import dataclass

CHART_FILE = "Chart.yaml"
METADATA_FILES = (CHART_FILE, "Images.lock", "images-lock.yaml")
_FILE_BYTES = 1 << 20
# Helm's own limits are of this size.
_ARCHIVE_BYTES = 128 << 20
_ENTRIES = 20_000
PACKED = (".tgz", ".tar.gz")
_DAMAGE = (OSError, EOFError, tarfile.TarError, zlib.error)


class ChartError(ImgsyncError):
    """A chart that cannot be read, or that reads other files."""


@dataclass(frozen=True, slots=True)
class Chart:
    """
    A chart, and the text of its metadata files.

    Attributes:
        path: The folder or archive, as given.
        files: What it has of `METADATA_FILES`.
    """

    path: str
    files: dict[str, bytes]


def is_packed(path: str) -> bool:
    """Return whether *path* is a file named as a packed chart."""
    return path.endswith(PACKED) and is_file(path)


def has_chart(path: str) -> bool:
    """Return whether the archive *path* is a packed chart."""
    try:
        return any(name == CHART_FILE for name, _ in _read_packed(path))
    except (*_DAMAGE, ChartError):
        return False


def read_chart(path: str, *, root: str) -> Chart:
    """
    Read the metadata of the chart at *path*.

    Args:
        path: A folder or a packed chart.
        root: The folder that the chart's links must not leave.

    Raises:
        ChartError: It cannot be read, is not a chart, or links to files elsewhere.
    """
    try:
        files = dict(_read_packed(path) if is_packed(path) else _read_folder(path, root))
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged, or not a packed chart"
        raise ChartError(f"the chart cannot be read: {reason}") from error
    if CHART_FILE not in files:
        raise ChartError("it has no Chart.yaml, so it is not a chart", hint="`helm package` makes a packed chart")
    return Chart(path, files)


def _read_folder(path: str, root: str) -> Iterator[tuple[str, bytes]]:
    _check_links(path, root)
    for name in METADATA_FILES:
        file = Path(path, name)
        if file.is_file():
            with file.open("rb") as opened:
                yield name, opened.read(_FILE_BYTES + 1)


def _check_links(path: str, root: str) -> None:
    """Refuse links that leave *root*."""
    # Helm follows them, and a template can print the file.
    seen = 0
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            seen += 1
            if seen > _ENTRIES:
                raise ChartError(f"the chart has more than {_ENTRIES:,} files")
            file = Path(folder, name)
            if is_link_out_of(file, root):
                raise ChartError(f"{os.path.relpath(file, path)} is a link to a file outside of {root}", hint="put the file itself there")


def _read_packed(path: str) -> Iterator[tuple[str, bytes]]:
    # Not "r|gz", which cannot read the header that Helm writes.
    with gzip.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
        for number, member in enumerate(archive, 1):
            if number > _ENTRIES or archive.offset > _ARCHIVE_BYTES or member.size > _ARCHIVE_BYTES:
                raise ChartError("the packed chart is larger than any that Helm reads")
            parts = PurePosixPath(member.name).parts
            if len(parts) == 2 and parts[1] in METADATA_FILES and member.isfile():
                opened = archive.extractfile(member)
                yield parts[1], opened.read(_FILE_BYTES + 1) if opened is not None else b""
