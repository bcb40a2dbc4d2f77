"""
Read the lock file of a mirror, line by line.

It is YAML, but a YAML reader has limits that a million lines exceed, and loses where a line stands. So each line has one form. People, bots and git
change these files: what they can get wrong is an error with file and line.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import BinaryIO

from imgsync.errors import ConfigError, FileError, InvalidReferenceError
from imgsync.lock.model import Lock, LockedImage, make_sorted_images
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_tag, parse_reference, parse_repository, split_reference
from imgsync.system.packed_map import PackedMap

VERSION = "1"
# A repository, a tag and a digest have at most 255, 128 and 135 characters.
_LINE_LIMIT = 1024
_MOST_LINES = 4_000_000
_MOST_ERRORS = 20
_SHOWN = 100
_SETTING = re.compile(r"([a-z]+):(?:[ ]+(\S.*))?")
_IMAGE = re.compile(r"""[ ]*-[ ]+image:[ ]+(["']?)([^\s"']+)\1""")
_MARKERS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
_SETTINGS = ("version", "mirror", "declaration", "images")
_AGAIN = "delete the file and make it again: imgsync lock --only {}"


def read_lock(path: Path, mirror: str) -> Lock:
    """
    Return the lock of *mirror* at *path*.

    Raises:
        FileNotFoundError: There is no such file.
        ConfigError: With the first errors of the file.
    """
    reader = _Reader(str(path), mirror)
    try:
        target = path.resolve()
        if not target.is_relative_to(path.parent.resolve()) or (target.exists() and not target.is_file()):
            # A pull request must not make imgsync read, and quote, other files, nor create them: `lock` writes where a link leads.
            raise ConfigError((FileError(str(path), 0, 0, "", "not a regular file of this folder", "put the lock itself here"),))
        with target.open("rb") as file:
            reader.read(_iter_lines(file))
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        # Python before 3.13 raises RuntimeError for a loop of links.
        reader.add_error(0, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return reader.finish()


def parse_lock(text: bytes, file: str, mirror: str) -> Lock:
    """
    Return the lock in *text*, the content of *file*.

    Raises:
        ConfigError: With the first errors of the file.
    """
    reader = _Reader(file, mirror)
    reader.read(iter(text.splitlines(keepends=True)))
    return reader.finish()


def _iter_lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LINE_LIMIT + 2):
        yield line


class _Reader:
    """Reads one file."""

    def __init__(self, file: str, mirror: str) -> None:
        self._file = file
        self._mirror = mirror
        self._settings: dict[str, tuple[int, str]] = {}
        self._errors: list[FileError] = []
        self._images = make_sorted_images()

    def read(self, lines: Iterator[bytes]) -> None:
        """Read every line; errors are collected."""
        for number, line in enumerate(lines, start=1):
            if len(self._errors) >= _MOST_ERRORS or number > _MOST_LINES:
                self.add_error(number, f"has more than {_MOST_ERRORS} errors or {_MOST_LINES:,} lines; the rest was not read")
                return
            if len(line) > _LINE_LIMIT:
                self.add_error(number, f"the line is longer than {_LINE_LIMIT} bytes", _AGAIN.format(self._mirror))
                return
            try:
                self._read_line(number, line.decode().rstrip())
            except UnicodeDecodeError:
                self.add_error(number, "not UTF-8", _AGAIN.format(self._mirror))

    def add_error(self, line: int, message: str, hint: str = "") -> None:
        """Add an error in *line*, 0 for the file as a whole."""
        self._errors.append(FileError(self._file, line, 1 if line else 0, "", message, hint))

    def finish(self) -> Lock:
        """
        Return the lock.

        Raises:
            ConfigError: There were errors.
        """
        if not self._errors:
            self._check_settings()
            self._check_duplicates()
        if self._errors:
            raise ConfigError(tuple(self._errors))
        images = PackedMap[LockedImage]((one.row for one in self._images), LockedImage, lambda _, one: one.row)
        line, declaration = self._settings["declaration"]
        return Lock(self._file, self._mirror, declaration, line, images)

    def _read_line(self, number: int, text: str) -> None:
        image = _IMAGE.fullmatch(text)
        if image is not None:
            self._read_image(number, image[2])
        elif text.startswith(_MARKERS):
            hint = f"keep the line that was reviewed and remove the markers, or `git checkout --ours {self._file}` and then `imgsync lock`"
            self.add_error(number, "a conflict marker of git: two branches changed the same lines", hint)
        elif text.strip() and not text.lstrip().startswith("#"):
            self._read_setting(number, text)

    def _read_setting(self, number: int, text: str) -> None:
        found = _SETTING.fullmatch(text)
        if found is None or found[1] not in _SETTINGS:
            hint = "a line is `  - image: REPOSITORY:TAG@DIGEST` and nothing else, also no comment"
            self.add_error(number, f"not a line of a lock: {text.strip()[:_SHOWN]!r}", hint)
        elif found[1] in self._settings:
            self.add_error(number, f"`{found[1]}` is already in line {self._settings[found[1]][0]}", "keep one of both lines")
        else:
            self._settings[found[1]] = (number, found[2] or "")

    def _read_image(self, number: int, text: str) -> None:
        if "images" not in self._settings:
            self.add_error(number, "an image before the line `images:`", _AGAIN.format(self._mirror))
            return
        repository, rest = split_reference(text)
        mark, _, digest = rest.partition("@")
        tag = mark.removeprefix(":")
        problem, hint = _find_problem(text, repository, mark, digest)
        if problem:
            self.add_error(number, problem, hint)
        else:
            self._images.add(LockedImage(f"{repository}:{tag}" if tag else text, digest, number))

    def _check_settings(self) -> None:
        for name in _SETTINGS:
            if name not in self._settings:
                self.add_error(0, f"the line `{name}:` is missing", _AGAIN.format(self._mirror))
                return
        checks = {
            "version": (VERSION, "this version of imgsync reads version 1 of the format", "use the version of imgsync that wrote the file"),
            "mirror": (self._mirror, f"this file is for the mirror {self._mirror}", f"rename the file, or write `mirror: {self._mirror}`"),
        }
        for name, (expected, message, hint) in checks.items():
            line, value = self._settings[name]
            if value != expected:
                self.add_error(line, f"`{name}` is {value[:_SHOWN]!r}, but {message}", hint)
        line, value = self._settings["declaration"]
        if not is_digest(value):
            self.add_error(line, f"`declaration` is not a digest: {value[:_SHOWN]!r}", f"make the lock again: imgsync lock --only {self._mirror}")
        line, value = self._settings["images"]
        if value not in {"", "[]"} or (value and len(self._images)):
            self.add_error(line, f"`images` must be followed by one line for each image, not {value[:_SHOWN]!r}", _AGAIN.format(self._mirror))

    def _check_duplicates(self) -> None:
        for one, other in pairwise(self._images):
            if one.image == other.image:
                first, last = sorted((one, other), key=attrgetter("line"))
                what = f"{one.image} is already in line {first.line}"
                self.add_error(last.line, what if one.digest == other.digest else f"{what}, with another digest", "keep the line that was reviewed")
            if len(self._errors) >= _MOST_ERRORS:
                return


def _find_problem(text: str, repository: str, mark: str, digest: str) -> tuple[str, str]:
    """Return what is wrong with a reference, and a hint, or ""."""
    if not digest:
        return f"{text[:_SHOWN]!r} has no digest", "write REPOSITORY:TAG@sha256:…, or remove the line and run `imgsync lock`"
    if not is_digest(digest):
        return f"{digest[:_SHOWN]!r} is not a digest", "write sha256: and 64 lower-case hex digits"
    if (mark and not is_tag(mark.removeprefix(":"))) or not _is_whole_name(repository):
        return f"{text[:_SHOWN]!r} is not an image with its registry", _suggest(text)
    return "", ""


@functools.lru_cache(maxsize=4096)
def _is_whole_name(repository: str) -> bool:
    """Return whether *repository* is written as imgsync writes it."""
    try:
        return str(parse_repository(repository)) == repository
    except InvalidReferenceError:
        return False


def _suggest(text: str) -> str:
    try:
        return f"write {parse_reference(text)}"
    except InvalidReferenceError as error:
        return error.hint
