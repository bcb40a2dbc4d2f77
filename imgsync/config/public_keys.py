"""
Public keys that signatures are verified by: read once, used by name. The one home of `cryptography`, imported when a key is.

A key says how it signs, so that nothing a registry serves can choose: ECDSA over P-256 with SHA-256, RSA (PKCS #1 v1.5) with SHA-256, Ed25519.
Spec: cosign's SIGNATURE_SPEC "Signature Schemes".
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One public key, as the DER of its SubjectPublicKeyInfo."""

    der: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Return what tells this key from another: the SHA-256 of its DER in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """Return the key in PEM."""
        lines = textwrap.wrap(base64.b64encode(self.der).decode(), 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether *signature* was made over *data* by the private half of this key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        key = _loaded(self.der)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, ec.ECDSA(SHA256()))
            else:
                key.verify(signature, data, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def read_public_key(pem: bytes) -> PublicKey:
    """
    Return the key that *pem*, as `cosign.pub` is written, holds.

    Raises:
        ValueError: It holds none, or one of a kind that is not verified here; the message says which.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    if b"PRIVATE KEY" in pem:
        raise ValueError("this is a private key, which belongs to whoever signs")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("this is no public key in PEM") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"ECDSA keys are verified over P-256 alone; this one is over {key.curve.name}")  # noqa: TRY004 - of the text, not of an argument
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA_BITS:
        raise ValueError(f"an RSA key of {key.key_size} bits proves nothing; {_LEAST_RSA_BITS} is the least")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("this key is neither ECDSA, RSA nor Ed25519")  # noqa: TRY004 - likewise
    return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@lru_cache(maxsize=64)
def _loaded(der: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(der)
