"""Which formats there are, and which one a file is of: told from what stands in it, or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from imgsync.convert import dregsy, image_syncer, regsync, skopeo_sync
from imgsync.convert.checking import check
from imgsync.convert.model import Conversion, Options
from imgsync.convert.reading import Notes, Piece, read_peer
from imgsync.errors import ConfigError, FileError, UsageError


class Format(Protocol):
    """What the module of a format offers."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module
        """Return the name of the format, for `--from` and as the name of the file that is written."""
        ...

    def recognises(self, value: dict[str, Any]) -> bool:
        """Return whether a file of this form holds *value*."""
        ...

    def convert(self, pieces: list[Piece], options: Options) -> Conversion:
        """Return what the files come to, without the remarks, which are noted in the pieces."""
        ...


# In the order they are asked: image-syncer's oldest form has the keys that a registry could be called by in skopeo's.
FORMATS: tuple[Format, ...] = (regsync, dregsy, image_syncer, skopeo_sync)
NAMES = tuple(one.NAME for one in (regsync, skopeo_sync, image_syncer, dregsy))


def convert_files(files: Sequence[str], *, source_format: str = "", options: Options | None = None) -> Conversion:
    """
    Return what *files* come to, valid for our own loader: one file, or image-syncer's logins and images in any order.

    *source_format* is one of `NAMES`, "" to tell it from what stands in them.

    Raises:
        ConfigError: With every fault of the files, or of what they would come to.
        UsageError: The format cannot be told, or does not fit the other options.
    """
    options = options or Options()
    notes = Notes()
    pieces = [read_peer(file, notes) for file in files]
    chosen = _chosen(pieces, source_format)
    if len(pieces) > 1 and chosen.NAME != image_syncer.NAME:
        raise UsageError(f"a configuration of {chosen.NAME} is one file", hint="convert them one by one; image-syncer alone has two that belong together")
    if chosen.NAME != skopeo_sync.NAME and (options.destination or options.scoped):
        raise UsageError(f"--destination and --scoped are for `skopeo sync`; a file of {chosen.NAME} says itself where to")
    found = chosen.convert(pieces, options)
    if notes.faults:
        raise ConfigError(tuple(dict.fromkeys(notes.faults)))
    found = replace(found, remarks=tuple(sorted(set(notes.remarks))))
    if not found.mirrors:
        whole = FileError(files[-1], 1, 1, "", "nothing of it can be carried over")
        raise ConfigError((whole, *(FileError(one.file, one.line, one.column, one.path, one.message, one.hint) for one in found.remarks if one.lost)))
    check(found)
    return found


def _chosen(pieces: list[Piece], name: str) -> Format:
    if name:
        return next(one for one in FORMATS if name == one.NAME)
    found = [next((one for one in FORMATS if one.recognises(piece.value)), None) for piece in pieces]
    for piece, one in zip(pieces, found, strict=True):
        if one is None:
            raise UsageError(
                f"{piece.document.file} is none of the formats known here: {', '.join(NAMES)}",
                hint="regsync's has `sync`, dregsy's `tasks`, image-syncer's `images` or SOURCE: DESTINATION, skopeo's REGISTRY: {images: …}; --from insists",
            )
    different = {one.NAME for one in found if one is not None}
    if len(different) > 1:
        raise UsageError(f"the files are of different formats: {', '.join(sorted(different))}", hint="convert one after the other")
    return next(one for one in found if one is not None)
