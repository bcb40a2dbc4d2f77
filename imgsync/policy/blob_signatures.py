"""
Check signatures over a file, as `cosign sign-blob` and `openssl` make them.

The signature is over the bytes of the file. Nothing here is imgsync's own format.

Spec: sigstore's bundle 0.3 "messageSignature"; cosign 2 writes its own older bundle with `base64Signature`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any

from imgsync.config.public_keys import PublicKey

_BY_ANOTHER = "by another key or of other content"


def find_plain_problem(raw: bytes, keys: Sequence[PublicKey], data: bytes) -> str:
    """
    Return why *raw* is not a signature of *data*, or "".

    *raw* is a signature as such, or in base64 with line breaks. It must be by one of *keys*.
    """
    signatures = [raw, *_decode(b"".join(raw.split()))]
    return "" if _is_signed(signatures, keys, data) else _BY_ANOTHER


def find_bundle_problem(raw: bytes, keys: Sequence[PublicKey], data: bytes, check_identities: Callable[[bytes, bytes], str] | None = None) -> str:
    """
    Return why the bundle *raw* does not sign *data*, or "".

    A bundle with a certificate is for *check_identities*, which takes bundle and data; any other must be by one of *keys*.
    """
    try:
        bundle = json.loads(raw)
    except (ValueError, RecursionError):
        bundle = None
    if not isinstance(bundle, dict):
        return "not a sigstore bundle"
    if "dsseEnvelope" in bundle:
        return "a signature of an attestation, not of a file"
    text = _get(bundle, "messageSignature", "signature") or bundle.get("base64Signature")
    if not isinstance(text, str):
        return "not a sigstore bundle with a signature of a file"
    if _get(bundle, "verificationMaterial", "publicKey") is None and "base64Signature" not in bundle:
        return check_identities(raw, data) if check_identities is not None else "by an identity, and none is required"
    return "" if _is_signed(list(_decode(text.encode(errors="replace"))), keys, data) else _BY_ANOTHER


def _is_signed(signatures: Sequence[bytes], keys: Sequence[PublicKey], data: bytes) -> bool:
    return any(key.has_signed(signature, data) for key in keys for signature in signatures)


def _decode(text: bytes) -> list[bytes]:
    """Return what *text* is in base64; nothing if it is not."""
    try:
        return [base64.b64decode(text, validate=True)]
    except (ValueError, binascii.Error):
        return []


def _get(bundle: dict[str, Any], outer: str, inner: str) -> Any:
    entry = bundle.get(outer)
    return entry.get(inner) if isinstance(entry, dict) else None
