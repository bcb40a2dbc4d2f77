"""Where a state is kept, as people write it: a directory, or `oci://HOST/REPOSITORY:TAG`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.oci.spec.reference import Reference, parse_reference, parse_registry

_SCHEME = "oci://"


def is_remote(place: str) -> bool:
    """
    Return whether *place* names a state in a registry rather than a directory.

    Raises:
        UsageError: It is a URL of another kind.
    """
    if "://" in place and not place.startswith(_SCHEME):
        raise UsageError(f"{place.partition('://')[0]}:// is no place for a state", hint="name a directory, or oci://HOST/REPOSITORY:TAG")
    return place.startswith(_SCHEME)


def parse_remote(text: str) -> Reference:
    """
    Return the reference of a state in a registry, with or without `oci://`.

    Raises:
        InvalidReferenceError: A part breaks the grammar.
        UsageError: The registry or the tag is missing, or a digest names what cannot move.
    """
    written = text.removeprefix(_SCHEME)
    registry, slash, _ = written.partition("/")
    reference = parse_reference(written)
    if not slash or not reference.tag or reference.digest or reference.repository.registry != parse_registry(registry):
        raise UsageError(f"{text!r} does not say where a state is kept", hint="write oci://HOST/REPOSITORY:TAG, registry and tag included")
    return reference


def local_directory(reference: Reference) -> str:
    """Return the directory in which what a run pushes is safe until the state at *reference* has it."""
    return str(Path(".imgsync") / f"state-{name_of(reference)}")


def name_of(reference: Reference) -> str:
    """Return a short name of *reference* for files."""
    return hashlib.sha256(str(reference).encode()).hexdigest()[:12]
