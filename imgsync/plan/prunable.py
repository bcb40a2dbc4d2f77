"""Explain why a mirror keeps a tag that is no longer selected."""

from __future__ import annotations

from imgsync.config.model import Mirror
from imgsync.filters.globs import compile_glob
from imgsync.oci.spec.reference import Reference


def is_prunable(mirror: Mirror, reference: Reference, *, gone: bool = False) -> bool:
    """Return whether *mirror* prunes *reference*, which may be *gone* at its source."""
    return not explain_kept(mirror, reference, gone=gone)


def explain_kept(mirror: Mirror, reference: Reference, *, gone: bool = False) -> str:
    """Return why *mirror* does not prune *reference*, or ""."""
    if mirror.suspend:
        return "is suspended"
    if mirror.prune is None:
        return "has no `prune`"
    if gone and not mirror.prune.gone:
        return "has no `prune: {gone: true}`"
    return "has `protect` for this tag" if any(compile_glob(text).fullmatch(reference.tag) for text in mirror.prune.protect) else ""


def explain_objection(mirror: Mirror, reference: Reference, *, gone: bool = False) -> str:
    """Return why *mirror* protects *reference* of another mirror, or ""."""
    if mirror.prune is None and not mirror.suspend and not gone:
        # What it selects stays anyway, and the tag is not its own.
        return ""
    return explain_kept(mirror, reference, gone=gone)
