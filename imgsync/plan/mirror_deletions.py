"""The tags that one mirror deletes, and why others stay."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.filters.quote_tags import quote_tags
from imgsync.oci.spec.reference import Reference
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Change
from imgsync.plan.prunable import explain_objection
from imgsync.text.units import format_subject

# Stands for the tags in the reason of a note.
THEM = "{them}"


class MirrorDeletions:
    """What one mirror deletes, and what it keeps."""

    def __init__(self, mirror: Mirror, *, is_planned: bool = True) -> None:
        """Compile the declaration of *mirror*, which this run may leave out."""
        self.mirror = mirror
        self.is_planned = is_planned
        self.scope = DeclarationScope(mirror)
        self.changes: list[Change] = []
        self._kept: dict[str, list[str]] = {}

    def is_near(self, source: Reference, destination: Reference) -> bool:
        """Return whether the mirror may once have written *destination*."""
        return source.repository.registry == self.mirror.source.registry and self.scope.has_place(destination)

    def explain_objection(self, destination: Reference, *, gone: bool) -> str:
        """Return why *destination* of another mirror stays, or ""."""
        # Of a mirror that is not planned, no one knows what it selects now.
        return explain_objection(self.mirror, destination, gone=gone) if self.is_planned else "is not part of this run"

    def keep(self, destination: Reference, why: str) -> None:
        """Note why *destination* is not deleted."""
        self._kept.setdefault(why, []).append(str(destination))

    @property
    def notes(self) -> list[str]:
        """Return which tags stay, and why."""
        return [
            f"{format_subject(len(tags), 'tag')} not deleted, because {why.replace(THEM, 'it' if len(tags) == 1 else 'them')}: {quote_tags(sorted(tags))}"
            for why, tags in self._kept.items()
        ]
