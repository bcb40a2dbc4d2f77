"""
Parse public keys and verify signatures with them.

The key alone decides the algorithm, never what a registry serves: ECDSA over P-256 with SHA-256 or over P-384 with SHA-384, RSA (PKCS #1
v1.5) with SHA-256, or Ed25519. The only module that imports `cryptography`; it does so when first needed.
Spec: cosign's SIGNATURE_SPEC "Signature Schemes".
"""

from __future__ import annotations

import base64
import hashlib
import textwrap
from dataclasses import field
from functools import lru_cache
from typing import Any

from imgsync.system.dataclass import dataclass

_MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One public key, as the DER of its SubjectPublicKeyInfo."""

    der: bytes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the DER form, in hex."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """The key in PEM."""
        lines = textwrap.wrap(base64.b64encode(self.der).decode(), 64)
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def has_signed(self, signature: bytes, data: bytes) -> bool:
        """Return whether this key's private half made *signature* over *data*."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256, SHA384

        key = _load(self.der)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, ec.ECDSA(SHA384() if isinstance(key.curve, ec.SECP384R1) else SHA256()))
            else:
                key.verify(signature, data, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


def parse_public_key(pem: bytes) -> PublicKey:
    """
    Parse a public key in PEM, such as `cosign.pub`.

    Raises:
        ValueError: It is not a public key, or of an unsupported kind.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

    if b"PRIVATE KEY" in pem:
        raise ValueError("this is a private key; only the signer may have it")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a public key in PEM") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        raise ValueError(f"ECDSA keys must use P-256 or P-384; this one uses {key.curve.name}")  # noqa: TRY004 - of the text, not of an argument
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise ValueError(f"RSA keys need at least {_MIN_RSA_BITS} bits; this one has {key.key_size}")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("unsupported key: expected ECDSA, RSA or Ed25519")  # noqa: TRY004 - likewise
    return PublicKey(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@lru_cache(maxsize=64)
def _load(der: bytes) -> Any:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    return load_der_public_key(der)
