"""Parse where a state is kept: a directory, or `oci://HOST/REPOSITORY:TAG`."""

from __future__ import annotations

import hashlib
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.oci.spec.reference import Reference, is_layout, parse_reference, parse_registry

_SCHEME = "oci://"
_CLAIM = ".claim"
_TAG_LENGTH = 128


def is_remote(place: str) -> bool:
    """
    Return whether *place* names a registry, not a directory.

    Raises:
        UsageError: It is a URL with another scheme.
    """
    if "://" in place and not place.startswith(_SCHEME):
        raise UsageError(f"unsupported scheme {place.partition('://')[0]}:// for a state", hint="use a directory, or oci://HOST/REPOSITORY:TAG")
    return place.startswith(_SCHEME)


def parse_remote(text: str) -> Reference:
    """
    Parse the reference of a state in a registry.

    `oci://` may be missing.

    Raises:
        InvalidReferenceError: It is not a valid reference.
        UsageError: The registry or the tag is missing, or it has a digest, which can never change.
    """
    written = text.removeprefix(_SCHEME)
    registry, slash, _ = written.partition("/")
    reference = parse_reference(written)
    if is_layout(reference.repository.registry):
        raise UsageError(f"{text!r} is in an OCI layout, and a state is kept in a registry or a directory", hint="name a directory, also on the same medium")
    if not slash or not reference.tag or reference.digest or reference.repository.registry != parse_registry(registry):
        raise UsageError(f"{text!r} is not the address of a state", hint="write oci://HOST/REPOSITORY:TAG, with registry and tag")
    return reference


def make_claim_reference(reference: Reference) -> Reference:
    """Return the tag by which writers of *reference* see each other."""
    return reference.repository.with_tag(f"{reference.tag[: _TAG_LENGTH - len(_CLAIM)]}{_CLAIM}")


def get_local_directory(reference: Reference) -> str:
    """Return the directory for records not yet pushed to *reference*."""
    return str(Path(".imgsync") / f"state-{short_name(reference)}")


def short_name(reference: Reference) -> str:
    """Return a short file name for *reference*."""
    return hashlib.sha256(str(reference).encode()).hexdigest()[:12]
