"""Digests: the grammar, and hashing while bytes stream by."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from imgsync.errors import ContentMismatchError, UnsupportedContentError

# Exact lengths and lower case, ASCII only, before a digest becomes part of a URL or a key: anything looser let
# other tools be led to foreign paths (CVE-2024-3727).
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")

# Of what should be a digest: as much as the longest has.
_SHOWN = 135


def is_digest(text: str) -> bool:
    """Return whether *text* is a sha256 or sha512 digest in its canonical form."""
    return _DIGEST.fullmatch(text) is not None


def require_digest(text: object) -> str:
    """
    Return *text* when it is a digest imgsync can verify.

    Raises:
        UnsupportedContentError: It is malformed, or of another algorithm.
    """
    if isinstance(text, str) and is_digest(text):
        return text
    raise UnsupportedContentError(f"{str(text)[:_SHOWN]!r} is not a sha256 or sha512 digest")


def compute_digest(data: bytes, *, like: str = "sha256:") -> str:
    """Return the digest of *data*, by the algorithm that *like* names."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def shorten_digest(digest: str) -> str:
    """Return the first twelve hex digits of *digest*, for people."""
    return digest.partition(":")[2][:12]


class DigestVerifier:
    """The digest and size of a blob as its bytes come; `seen` counts those taken in. A copy goes on by itself."""

    def __init__(self, digest: str, size_bytes: int, what: str) -> None:
        """Begin before the first byte of a blob that must have *digest* and *size_bytes*; *what* names it in errors."""
        self._digest = digest
        self._size = size_bytes
        self._what = what
        self._hasher = hashlib.new(digest.partition(":")[0])
        self.seen_bytes = 0

    def copy(self) -> DigestVerifier:
        """Return another that has taken in the same bytes."""
        other = DigestVerifier(self._digest, self._size, self._what)
        other.__dict__.update(self.__dict__, _hasher=self._hasher.copy())
        return other

    def expect(self, size: int) -> None:
        """
        Return when *size* more bytes may come.

        Raises:
            ContentMismatchError: They are more than the blob has.
        """
        if self.seen_bytes + size > self._size:
            raise ContentMismatchError(self._what, expected=f"{self._size} bytes", actual="more")

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self.seen_bytes += len(chunk)
        self._hasher.update(chunk)

    def check(self) -> None:
        """
        Return when all that was taken in is the blob.

        Raises:
            ContentMismatchError: Too few bytes, or bytes of another digest.
        """
        if self.seen_bytes != self._size:
            raise ContentMismatchError(self._what, expected=f"{self._size} bytes", actual=f"{self.seen_bytes} bytes")
        found = f"{self._hasher.name}:{self._hasher.hexdigest()}"
        if found != self._digest:
            raise ContentMismatchError(self._what, expected=self._digest, actual=found)


def verify_chunks(chunks: Iterable[bytes], running: DigestVerifier) -> Iterator[bytes]:
    """
    Yield *chunks* unchanged, the last one only after size and digest are known to fit.

    Whoever streams them into an upload can thus never complete it with wrong bytes: the body stays short. *running* has taken in
    exactly what was yielded, and what came before; nothing, to begin with.

    Raises:
        ContentMismatchError: Too many bytes, too few, or bytes of another digest.
    """
    held = b""
    for chunk in filter(None, chunks):
        running.expect(len(held) + len(chunk))
        if held:
            running.update(held)
            yield held
        held = chunk
    if held:
        running.update(held)
    running.check()
    if held:
        yield held
