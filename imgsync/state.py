"""What the last applies pushed: a memory in diskcache, never the truth (design.md §6)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one destination reference; digests whole, `applied_at` RFC 3339 UTC."""

    destination: str
    digest: str
    crc32: str
    size_bytes: int
    media_type: str
    source: str
    source_digest: str
    selection: str
    applied_at: str
    manifest: bytes | None = None
