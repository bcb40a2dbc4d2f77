"""Find the accepted documents beside the state."""

from __future__ import annotations

from imgsync.config.accepted import AcceptedDocuments
from imgsync.errors import InvalidReferenceError, UsageError


def read_accepted_documents(location: str | None) -> AcceptedDocuments:
    """Return what earlier runs accepted whose state is at *location*."""
    if location is None or "://" not in location:
        return AcceptedDocuments(location)
    # Imported now: most states are in a directory.
    from imgsync.state.remote.reference import get_local_directory, is_remote, parse_remote

    try:
        return AcceptedDocuments(get_local_directory(parse_remote(location)) if is_remote(location) else location)
    except (InvalidReferenceError, UsageError):
        # Opening the state reports it.
        return AcceptedDocuments()
