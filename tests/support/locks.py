"""Texts of locks, and what they say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from imgsync.lock.model import LockedImage
from imgsync.lock.read_lock import parse_lock
from imgsync.lock.write_lock import format_lock

DECLARATION = f"sha256:{'d' * 64}"
HEAD = f"# imgsync lock/v1; a bot may change digests\nversion: 1\nmirror: a\ndeclaration: {DECLARATION}\n"


def digest(text: object) -> str:
    """Return a digest that *text* decides."""
    return f"sha256:{hashlib.sha256(str(text).encode()).hexdigest()}"


def lock_text(images: Mapping[str, str], *, mirror: str = "a", declaration: str = DECLARATION) -> str:
    """Return a lock as `imgsync lock` writes it."""
    return "".join(format_lock(mirror, declaration, [LockedImage(image, images[image]) for image in sorted(images)]))


def read_images(text: str | bytes | Path, *, mirror: str = "a") -> dict[str, str]:
    """Return the digests of a lock by image."""
    data = text.read_bytes() if isinstance(text, Path) else text.encode() if isinstance(text, str) else text
    return {one.image: one.digest for one in parse_lock(data, "a.yaml", mirror).images.values()}
