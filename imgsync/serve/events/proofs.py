"""
Check that a sender has the secret, in constant time.

The time depends on the lengths of what was sent, never on how much of it is right.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import field

from imgsync.serve.events.model import Delivery
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Proof:
    """
    The secret of a sender, and what came.

    `signature` is the HMAC of the body by the secret. It is made for every type, so that the time shows neither the type nor whether a sender exists.
    """

    secret: str = field(repr=False)
    signature: str = field(repr=False)
    delivery: Delivery


def sign(secret: str, body: bytes) -> str:
    """Return the HMAC-SHA256 of *body* in hex."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def has_authorization(proof: Proof) -> bool:
    """Return whether `Authorization` is the secret, bare or as Bearer."""
    given = proof.delivery.get("authorization")
    scheme, _, token = given.partition(" ")
    return _is_header(proof.secret, token.strip() if scheme.lower() == "bearer" else given)


def has_api_key(proof: Proof) -> bool:
    """Return whether `X-Api-Key` or `Authorization` is the secret."""
    found = (_is_header(proof.secret, proof.delivery.get("x-api-key")), has_authorization(proof))
    return any(found)


def has_path(proof: Proof) -> bool:
    """Return whether the path ends with the secret."""
    return _is_same(proof.secret.encode(), proof.delivery.path_secret.encode(errors="replace"))


def has_signature(proof: Proof) -> bool:
    """Return whether `X-Hub-Signature-256` is the HMAC of the body."""
    return _is_header(f"sha256={proof.signature}", proof.delivery.get("x-hub-signature-256"))


def has_git_proof(proof: Proof) -> bool:
    """Return whether a proof of a git server is right."""
    get = proof.delivery.get
    bare = [_is_header(proof.signature, get(name)) for name in ("x-gitea-signature", "x-forgejo-signature")]
    found = (has_signature(proof), _is_header(proof.secret, get("x-gitlab-token")), *bare)
    return any(found)


def has_any_proof(proof: Proof) -> bool:
    """Return whether `Authorization`, the signature or the path is right."""
    found = (has_authorization(proof), has_signature(proof), has_path(proof))
    return any(found)


def _is_header(right: str, given: str) -> bool:
    # WSGI has the bytes of a header as characters of Latin-1.
    return _is_same(right.encode(), given.encode("latin-1", errors="replace"))


def _is_same(right: bytes, given: bytes) -> bool:
    # Of digests, which have one length.
    return hmac.compare_digest(hashlib.sha256(right).digest(), hashlib.sha256(given).digest())
