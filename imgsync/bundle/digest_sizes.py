"""Sizes by digest, in less memory than a dict."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

_UNKNOWN = -1
_SHA256_BYTES = 32


class DigestSizes(MutableMapping[str, int | None]):
    """Sizes in bytes by sha256 or sha512 digest, None if unknown."""

    def __init__(self) -> None:
        """Begin empty."""
        self._sizes: dict[bytes, int] = {}

    def __getitem__(self, digest: str) -> int | None:
        """Return the size of *digest*."""
        size = self._sizes[_pack(digest)]
        return None if size == _UNKNOWN else size

    def __setitem__(self, digest: str, size: int | None) -> None:
        """Set the size of *digest*."""
        self._sizes[_pack(digest)] = _UNKNOWN if size is None else size

    def __delitem__(self, digest: str) -> None:
        """Remove *digest*."""
        del self._sizes[_pack(digest)]

    def __contains__(self, digest: object) -> bool:
        """Return whether *digest* has an entry."""
        return isinstance(digest, str) and _pack(digest) in self._sizes

    def __iter__(self) -> Iterator[str]:
        """Yield each digest."""
        return map(_unpack, self._sizes)

    def __len__(self) -> int:
        """Return the number of digests."""
        return len(self._sizes)


def _pack(digest: str) -> bytes:
    # The length says which algorithm it is.
    return bytes.fromhex(digest.partition(":")[2])


def _unpack(packed: bytes) -> str:
    return f"sha{256 if len(packed) == _SHA256_BYTES else 512}:{packed.hex()}"
