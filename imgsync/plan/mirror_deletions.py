"""The tags that one mirror deletes, and why others stay."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.filters.quote_tags import quote_tags
from imgsync.oci.spec.reference import Reference
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Change
from imgsync.text.units import format_subject

# Stands for the tags in the reason of a note.
THEM = "{them}"


class MirrorDeletions:
    """What one mirror deletes, and what it keeps."""

    def __init__(self, mirror: Mirror) -> None:
        """Compile the declaration of *mirror*."""
        self.mirror = mirror
        self.scope = DeclarationScope(mirror)
        self.changes: list[Change] = []
        self._kept: dict[str, list[str]] = {}

    def is_near(self, source: Reference, destination: Reference) -> bool:
        """Return whether the mirror may once have written *destination*."""
        return source.repository.registry == self.mirror.source.registry and self.scope.has_place(destination)

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
