"""The tags that one mirror deletes, and why others stay."""

from __future__ import annotations

from imgsync.config.allowlist import get_fixed_prefix, is_allowed
from imgsync.config.model import Mirror
from imgsync.filters.quote_tags import quote_tags
from imgsync.oci.spec.reference import Reference
from imgsync.plan.declaration_scope import DeclarationScope
from imgsync.plan.model import Change
from imgsync.text.units import format_subject


class MirrorDeletions:
    """What one mirror deletes, and what it keeps."""

    def __init__(self, mirror: Mirror) -> None:
        """Compile the declaration of *mirror*."""
        self.mirror = mirror
        self.scope = DeclarationScope(mirror)
        self.changes: list[Change] = []
        self.undeclared: list[str] = []
        self._kept: dict[tuple[str, str], list[str]] = {}
        self._prefixes = tuple(get_fixed_prefix(one) for one in mirror.destinations)

    def is_near(self, source: Reference, destination: Reference) -> bool:
        """Return whether the mirror may once have written *destination*."""
        return source.repository.registry == self.mirror.source.registry and is_allowed(self._prefixes, str(destination.repository))

    def keep(self, destination: Reference, other: str, why: str) -> None:
        """Note that the mirror *other* prevents the deletion of *destination*."""
        self._kept.setdefault((other, why), []).append(str(destination))

    @property
    def notes(self) -> list[str]:
        """Return which tags stay, and why."""
        kept = [
            f"{format_subject(len(tags), 'tag')} not deleted, because mirror {other} can write the same destination and {why}: {quote_tags(sorted(tags))}"
            for (other, why), tags in self._kept.items()
        ]
        if not self.undeclared:
            return kept
        subject = format_subject(len(self.undeclared), "tag")
        return [*kept, f"{subject} not deleted, because no mirror declares that repository for that destination: {quote_tags(sorted(self.undeclared))}"]
