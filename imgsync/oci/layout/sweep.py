"""
Delete blobs that only deleted tags or killed runs used.

Only what an imgsync stored or pruned is ever deleted, only if nothing in the index references it, and only while no other imgsync writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

from imgsync.oci.layout.contents import LayoutContents, ReadManifest, find_referenced
from imgsync.oci.layout.directory import LayoutFolder
from imgsync.oci.layout.index_json import IndexEntry


def find_unused(contents: LayoutContents, candidates: Iterable[str], read: ReadManifest) -> tuple[set[str], list[str]]:
    """
    Return blobs to delete, and the entries that go with them.

    Args:
        contents: The layout.
        candidates: What may be unused; what only it references is, too.
        read: Reads a manifest, None if there is none.

    Raises:
        LayoutError: *read* raised it for a manifest that is in use, whose blobs are so not known.
        OSError: Likewise.
    """
    doomed = contents.find_members(IndexEntry(b"", digest, "", 0) for digest in candidates)
    referrers = contents.list_unnamed_with_subject()
    kept = [entry for entry in contents.index.entries if entry.digest not in referrers or entry.containerd_name or entry.ref_name]
    # A referrer whose subject is not in the layout was put there on purpose.
    kept += (entry for entry, subject in referrers.values() if subject not in doomed)
    by_subject: dict[str, list[IndexEntry]] = {}
    for entry, subject in referrers.values():
        if subject in doomed:
            by_subject.setdefault(subject, []).append(entry)
    used = find_referenced(kept, read, lambda digest: by_subject.get(digest, ()))
    return doomed - used, [digest for digest, (_, subject) in referrers.items() if subject in doomed and digest not in used]


def delete_blobs(files: LayoutFolder, digests: Iterable[str]) -> None:
    """Delete the blobs *digests*."""
    for digest in digests:
        algorithm, _, name = digest.partition(":")
        folder = files.open_blobs(algorithm)
        if folder is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)
