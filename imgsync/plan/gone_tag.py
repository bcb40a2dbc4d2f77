"""Tags that stay at a destination although their source lacks them."""

from __future__ import annotations

from enum import StrEnum

from imgsync.oci.spec.reference import Reference
from imgsync.system.dataclass import dataclass


class Absence(StrEnum):
    """How a run saw that the source no longer has a tag."""

    UNLISTED = "not in the list of tags"
    NOT_FOUND = "the tag is not found"
    NO_REPOSITORY = "the repository is not found"
    UNLISTED_REPOSITORY = "the repository is not listed"
    EMPTY_LIST = "the list is empty"
    HIDDEN = "not in the list of tags, but the source still serves it"
    UNCONFIRMED = "not in the list of tags, but the source does not confirm it"
    UNCHECKED = "not checked in this run"


# An empty list may also be the sign of a problem, and deletions must not follow it: quay/quay#5852.
_UNCERTAIN = {Absence.EMPTY_LIST, Absence.HIDDEN, Absence.UNCONFIRMED, Absence.UNCHECKED}


@dataclass(frozen=True, slots=True)
class GoneTag:
    """
    A mirrored tag that its source no longer has.

    It stays at the destination. The fields are those of `gone` in the documents. `digest` is what was mirrored, `since` when an apply
    first saw that the tag is gone (RFC 3339), None if this run is the first.
    """

    mirror: str
    source: Reference
    destination: Reference
    digest: str
    since: str | None
    reason: str

    @property
    def is_certain(self) -> bool:
        """Return whether the source denied the tag in this run."""
        return self.reason not in _UNCERTAIN

    @property
    def is_deletable(self) -> bool:
        """Return whether `prune: {gone: true}` may delete the tag."""
        # The source lists the repository's other tags, so the login still sees it. A whole repository may only be hidden from it.
        return self.since is not None and self.reason == Absence.UNLISTED

    @property
    def description(self) -> str:
        """Return since when the tag is gone, and how this was seen."""
        since = f" since {self.day}" if self.day else ", first seen now" if self.is_certain else ""
        return f"gone at the source{since}; {self.reason}"

    @property
    def day(self) -> str:
        """Return since which day it is gone, "" if unknown."""
        return (self.since or "").partition("T")[0]

    @property
    def document(self) -> dict[str, str | None]:
        """Return the fields in JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"source": str(self.source), "destination": str(self.destination)}
