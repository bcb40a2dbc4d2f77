"""
Find the images in files and folders, whatever form they have.

A folder is walked in the order of names. Hidden files and folders are left out, but for those of CI, and no link is followed out of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from imgsync.discover.chart_files import CHART_FILE, PACKED, has_chart, is_packed
from imgsync.discover.documents import SIZE_LIMIT
from imgsync.discover.kustomize import FILES as KUSTOMIZATION_FILES
from imgsync.discover.model import FoundImage, SkippedInput
from imgsync.discover.paths import is_folder, is_link_out_of
from imgsync.discover.readers import find_in_data, find_in_yaml, is_read_in_folders

Finds = Iterator[FoundImage | SkippedInput]
ReadFolder = Callable[[str], Finds]
"""Reads a folder that a program has to render; its path is given as the user wrote it."""

STDIN = "-"
_CHART_MESSAGE = "a chart has to be rendered"
_KEPT_HIDDEN = frozenset({".github", ".gitlab", ".gitlab-ci", ".gitlab-ci.yml", ".gitlab-ci.yaml"})
_LEFT_OUT = frozenset({"node_modules"})


def find_images(
    paths: Sequence[str], *, read_stdin: Callable[[], bytes] | None = None, read_chart: ReadFolder | None = None, read_kustomization: ReadFolder | None = None
) -> Finds:
    """
    Yield the images in *paths*, and each input that is not read.

    They are ordered by path, file and line. A file that is given is always read. In a folder, files that no reader knows are left out.

    Args:
        paths: Files and folders; "-" is standard input.
        read_stdin: Returns standard input, up to one byte more than SIZE_LIMIT.
        read_chart: Reads a folder with Chart.yaml, or a packed chart. Without it, each is a SkippedInput.
        read_kustomization: The same for a folder with a kustomization.
    """
    for path in paths:
        if path == STDIN:
            yield from find_in_yaml(b"" if read_stdin is None else read_stdin(), file=STDIN)
        elif is_folder(path):
            yield from _find_in_folder(path, read_chart, read_kustomization)
        elif is_packed(path):
            yield from _render(path, read_chart, _CHART_MESSAGE)
        else:
            yield from _find_in_file(path)


def _find_in_folder(folder: str, read_chart: ReadFolder | None, read_kustomization: ReadFolder | None) -> Finds:
    failed: list[OSError] = []
    for place, folders, files in os.walk(folder, onerror=failed.append):
        if CHART_FILE in files:
            folders.clear()
            yield from _render(place, read_chart, _CHART_MESSAGE)
        elif not frozenset(files).isdisjoint(KUSTOMIZATION_FILES):
            folders.clear()
            yield from _render(place, read_kustomization, "a kustomization has to be rendered")
        else:
            folders[:] = sorted(name for name in folders if _is_visible(name) and name not in _LEFT_OUT)
            for name in sorted(files):
                if _is_visible(name) and (is_read_in_folders(name) or name.endswith(PACKED)):
                    yield from _find_in_member(str(Path(place, name)), folder, read_chart)
        yield from (_describe_failure(error, str(error.filename)) for error in failed)
        failed.clear()
    yield from (_describe_failure(error, str(error.filename)) for error in failed)


def _is_visible(name: str) -> bool:
    return not name.startswith(".") or name in _KEPT_HIDDEN


def _render(folder: str, read: ReadFolder | None, message: str) -> Finds:
    if read is None:
        yield SkippedInput(folder, 0, message, "render it and give the result")
    else:
        yield from read(folder)


def _find_in_member(file: str, folder: str, read_chart: ReadFolder | None) -> Finds:
    """Yield the images of a file, unless it links elsewhere."""
    if is_link_out_of(file, folder):
        yield SkippedInput(file, 0, "the link leads out of the folder", "give the file that it names, too")
    elif is_packed(file):
        # An archive that is not a chart is like any other file that no reader knows.
        yield from _render(file, read_chart, _CHART_MESSAGE) if has_chart(file) else ()
    elif _is_regular(file):
        yield from _find_in_file(file)


def _is_regular(file: str) -> bool:
    """Return whether *file* is neither a pipe nor a device."""
    try:
        return stat.S_ISREG(Path(file).stat().st_mode)
    except OSError:
        return True


def _find_in_file(file: str) -> Finds:
    try:
        with Path(file).open("rb") as opened:
            data = opened.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        yield _describe_failure(error, file)
        return
    yield from find_in_data(data, file=file)


def _describe_failure(error: OSError | ValueError, file: str) -> SkippedInput:
    message = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read: {getattr(error, 'strerror', None) or error}"
    return SkippedInput(file, 0, message, "check the name" if isinstance(error, FileNotFoundError) else "")
