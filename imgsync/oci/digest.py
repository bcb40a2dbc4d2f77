"""Digests: the grammar, and hashing while bytes stream by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from imgsync.errors import ContentMismatchError, UnsupportedContentError

# Exact lengths and lower case, ASCII only, before a digest becomes part of a URL or a key: anything looser let
# other tools be led to foreign paths (CVE-2024-3727).
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")


def is_digest(text: str) -> bool:
    """Return whether *text* is a sha256 or sha512 digest in its canonical form."""
    return _DIGEST.fullmatch(text) is not None


def checked_digest(text: object) -> str:
    """
    Return *text* when it is a digest imgsync can verify.

    Raises:
        UnsupportedContentError: It is malformed, or of another algorithm.
    """
    if isinstance(text, str) and is_digest(text):
        return text
    raise UnsupportedContentError(f"{str(text)[:100]!r} is not a sha256 or sha512 digest")


def digest_of(data: bytes, *, like: str = "sha256:") -> str:
    """Return the digest of *data*, by the algorithm that *like* names."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()}"


def verified(chunks: Iterable[bytes], *, digest: str, size_bytes: int, what: str) -> Iterator[bytes]:
    """
    Yield *chunks* unchanged, the last one only after size and digest are known to fit.

    Whoever streams them into an upload can thus never complete it with wrong bytes: the body stays short.

    Raises:
        ContentMismatchError: Too many bytes, too few, or bytes of another digest.
    """
    hasher = hashlib.new(digest.partition(":")[0], usedforsecurity=False)
    seen = 0
    held = b""
    for chunk in filter(None, chunks):
        seen += len(chunk)
        if seen > size_bytes:
            raise ContentMismatchError(what, expected=f"{size_bytes} bytes", actual="more")
        hasher.update(chunk)
        if held:
            yield held
        held = chunk
    if seen != size_bytes:
        raise ContentMismatchError(what, expected=f"{size_bytes} bytes", actual=f"{seen} bytes")
    found = f"{hasher.name}:{hasher.hexdigest()}"
    if found != digest:
        raise ContentMismatchError(what, expected=digest, actual=found)
    if held:
        yield held
