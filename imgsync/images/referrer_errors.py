"""
Decide which errors of referrers keep an image from its tag.

A transient one does: the next run may copy the image with its referrers. Any other one would keep the image out for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from imgsync.errors import ContentMismatchError, ImgsyncError, ReferrersError, RegistryError, UnsupportedContentError


def is_final(error: ImgsyncError) -> bool:
    """Return whether trying again would not help."""
    return isinstance(error, RegistryError | ContentMismatchError | UnsupportedContentError | ReferrersError) and not error.transient


def try_all(steps: Iterable[Callable[[], None]]) -> None:
    """
    Run all *steps*, then raise the first final error.

    Raises:
        ImgsyncError: A step failed. An error that is not final is raised at once.
    """
    first: ImgsyncError | None = None
    for step in steps:
        try:
            step()
        except ImgsyncError as error:
            if not is_final(error):
                raise
            first = first or error
    if first is not None:
        raise first
