"""Write and read `imgsync-bundle.json`."""

from __future__ import annotations

from imgsync.bundle.model import Bundle


def encode_bundle(bundle: Bundle) -> bytes:
    """Return the document of *bundle* as canonical JSON, with its id."""
    raise NotImplementedError


def decode_bundle(raw: bytes, *, name: str) -> Bundle:
    """
    Return the bundle that the document *raw* describes; errors call it *name*.

    Raises:
        BundleError: It is not a document of a bundle, is not canonical, contradicts itself, or its id is that of other content.
    """
    raise NotImplementedError
