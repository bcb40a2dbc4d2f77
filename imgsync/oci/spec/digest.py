"""Check digests, and hash bytes while they stream."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from imgsync.errors import ContentMismatchError, UnsupportedContentError
from imgsync.system.chunk import Chunk

# A digest becomes part of URLs and keys, so only the exact length in lower-case ASCII matches. In other
# tools a looser check let digests escape into other paths (CVE-2024-3727).
_DIGEST = re.compile(r"(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})")

# `hashlib.new` looks a name up again at each call.
_HASHES = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}

# As state, report and outcome write it.
_CRC32 = re.compile(r"[0-9a-f]{8}")

# The longest digest; an invalid one is cut to this length in errors.
_MAX_LENGTH = 135


def is_digest(text: str) -> bool:
    """Return whether *text* is a canonical sha256 or sha512 digest."""
    return _DIGEST.fullmatch(text) is not None


def is_crc32(text: str) -> bool:
    """Return whether *text* is a crc32 of eight digits."""
    return _CRC32.fullmatch(text) is not None


def require_digest(text: object) -> str:
    """
    Return *text* if imgsync can verify this digest.

    Raises:
        UnsupportedContentError: It is malformed or uses another algorithm.
    """
    if isinstance(text, str) and is_digest(text):
        return text
    raise UnsupportedContentError(f"{str(text)[:_MAX_LENGTH]!r} is not a sha256 or sha512 digest")


def compute_digest(data: bytes, *, like: str = "sha256:") -> str:
    """Return the digest of *data*, with the algorithm of *like*."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{_HASHES[algorithm](data).hexdigest()}"


def has_same_algorithm(digest: str, other: str) -> bool:
    """Return whether both digests use one algorithm."""
    return digest.partition(":")[0] == other.partition(":")[0]


def shorten_digest(digest: str) -> str:
    """Return the first twelve hex digits of *digest*."""
    return digest.partition(":")[2][:12]


class SizeCheck:
    """Checks the size of a blob while its bytes arrive."""

    def __init__(self, size_bytes: int, what: str, *, hint: str = "") -> None:
        """Expect *size_bytes*; errors call the blob *what* and have the *hint*."""
        self._size = size_bytes
        self._what = what
        self._hint = hint
        self.seen_bytes = 0

    def expect(self, size: int) -> None:
        """
        Check that the blob may have *size* more bytes.

        Raises:
            ContentMismatchError: The blob would be too long.
        """
        if self.seen_bytes + size > self._size:
            raise self._make_error(f"{self._size} bytes", "more")

    def check(self) -> None:
        """
        Check that all bytes were seen.

        Raises:
            ContentMismatchError: The blob is too short or too long.
        """
        if self.seen_bytes != self._size:
            raise self._make_error(f"{self._size} bytes", f"{self.seen_bytes} bytes")

    def _make_error(self, expected: str, actual: str) -> ContentMismatchError:
        return ContentMismatchError(self._what, expected=expected, actual=actual, hint=self._hint)


class DigestVerifier(SizeCheck):
    """Verify the size and digest of a blob while its bytes arrive."""

    def __init__(self, digest: str, size_bytes: int, what: str, *, hint: str = "") -> None:
        """Expect a blob of *digest* and *size_bytes*; for errors see `SizeCheck`."""
        super().__init__(size_bytes, what, hint=hint)
        self._digest = digest
        self._hasher = _HASHES[digest.partition(":")[0]]()

    def copy(self) -> DigestVerifier:
        """Return an independent verifier that has seen the same bytes."""
        other = DigestVerifier(self._digest, self._size, self._what)
        other.__dict__.update(self.__dict__, _hasher=self._hasher.copy())
        return other

    @property
    def is_complete(self) -> bool:
        """Return whether all bytes were seen."""
        return self.seen_bytes == self._size

    def update(self, chunk: Chunk) -> None:
        """Hash the next bytes."""
        self.seen_bytes += len(chunk)
        self._hasher.update(chunk)

    def check(self) -> None:
        """
        Check that the bytes seen are exactly the blob.

        Raises:
            ContentMismatchError: The size or the digest differs.
        """
        super().check()
        found = f"{self._hasher.name}:{self._hasher.hexdigest()}"
        if found != self._digest:
            raise self._make_error(self._digest, found)


def verify_chunks(chunks: Iterable[Chunk], verifier: DigestVerifier) -> Iterator[Chunk]:
    """
    Yield *chunks* unchanged, the last one only after verification.

    So an upload of wrong bytes is never complete: its body stays too short. *verifier* has seen the bytes that were yielded and those
    that it saw before the call.

    Raises:
        ContentMismatchError: The size or the digest differs.
    """
    last: Chunk = b""
    for chunk in chunks:
        if not chunk:
            continue
        verifier.expect(len(chunk))
        # Hashed and passed on at once, while the bytes are in the processor's cache.
        verifier.update(chunk)
        if verifier.is_complete:
            last = chunk
        else:
            yield chunk
    verifier.check()
    if last:
        yield last
