"""The known formats, and their detection."""

from __future__ import annotations

from typing import Any, Protocol

from imgsync.config.model import Mirror
from imgsync.convert import dregsy, harbor, image_syncer, regsync, skopeo_sync
from imgsync.convert.conversion import ConvertOptions
from imgsync.convert.input_file import Node
from imgsync.convert.registry_settings import RegistryCollector
from imgsync.errors import UsageError


class Format(Protocol):
    """The interface of a format's module."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module
        """The name for `--from` and for the written file."""
        ...

    @property
    def HAS_NAMED_ENTRIES(self) -> bool:  # noqa: N802 - a constant of the module
        """Whether entries have names, so that each stays a mirror."""
        ...

    def is_format(self, value: Any) -> bool:
        """Return whether *value* is a file of this format."""
        ...

    def convert(self, nodes: list[Node], options: ConvertOptions, registries: RegistryCollector) -> list[Mirror]:
        """Convert the files; report errors and remarks in the nodes."""
        ...


# In the order of detection. skopeo's is last, because its keys may be any registry, even one called as a key of image-syncer.
FORMATS: tuple[Format, ...] = (regsync, dregsy, harbor, image_syncer, skopeo_sync)
NAMES = tuple(one.NAME for one in (regsync, skopeo_sync, image_syncer, dregsy, harbor))


def choose_format(nodes: list[Node], name: str) -> Format:
    """
    Return the format *name*, or detect it.

    Raises:
        UsageError: The format is unknown, or the files have different formats.
    """
    if name:
        return next(one for one in FORMATS if name == one.NAME)
    found = [_detect_format(node) for node in nodes]
    different = {one.NAME for one in found}
    if len(different) > 1:
        raise UsageError(f"the files have different formats: {', '.join(sorted(different))}", hint="convert them separately")
    return found[0]


def _detect_format(node: Node) -> Format:
    for one in FORMATS:
        if one.is_format(node.value):
            return one
    raise UsageError(
        f"{node.document.file}: unknown format; known formats: {', '.join(NAMES)}",
        hint="regsync has `sync`, dregsy `tasks`, image-syncer `images` or SOURCE: DESTINATION, skopeo REGISTRY: {images: …}, "
        "Harbor a list of replication rules; --from sets the format",
    )
