"""Compute the digest of the declaration that a lock was made for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from imgsync.config.model import Mirror
from imgsync.filters.tags import TagFilter

# They hold tags or refuse a selection, but do not select.
_NOT_SELECTING = {"min_age_seconds", "min_age_except", "at_least", "at_most"}


def compute_declaration_digest(mirror: Mirror) -> str:
    """
    Return the digest of the settings that select images.

    Settings with their default are left out, so that a new version of imgsync with new settings does not make every lock outdated.
    """
    unset = asdict(TagFilter())
    source = {name: value for name, value in asdict(mirror.source).items() if value}
    tags = {name: value for name, value in asdict(mirror.tags).items() if value != unset[name] and name not in _NOT_SELECTING}
    text = json.dumps({"source": source, "tags": tags}, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
