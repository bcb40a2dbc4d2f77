"""
Check keyless signatures: a certificate names the signer.

The `sigstore` library verifies them offline, with the trust root of `registries.yaml`. Only this module imports it.
Spec: docs/how-to/require-signatures.md; sigstore's bundle 0.3, as cosign keeps it in a referrer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from imgsync.config.model import SigningIdentity
from imgsync.policy.cosign import SignedImage, find_statement_problem
from imgsync.text.sanitize import sanitize_message


def find_identity_problem(raw: bytes, signers: Sequence[SigningIdentity], image: SignedImage) -> str:
    """
    Return why the bundle *raw* does not sign *image*, or "".

    The signature must be by one of *signers*.
    """
    reasons = {_check(raw, signer, image): None for signer in signers}
    return "" if "" in reasons else ", ".join(reasons)


def _check(raw: bytes, signer: SigningIdentity, image: SignedImage) -> str:
    from sigstore.models import Bundle
    from sigstore.verify import policy

    # Exact matches only: unanchored patterns have admitted untrusted signers elsewhere.
    issuer = policy.AnyOf([policy.OIDCIssuerV2(signer.issuer), policy.OIDCIssuer(signer.issuer)])
    who = policy.AllOf([policy.Identity(identity=signer.identity), issuer])
    try:
        kind, payload = _make_verifier(signer.trust_root).verify_dsse(Bundle.from_json(raw), who)
    except Exception as error:  # noqa: BLE001 - untrusted input may raise anything in the library
        return f"not verified ({sanitize_message(str(error)) or type(error).__name__})"
    return find_statement_problem(kind, payload, image)


@cache
def _make_verifier(trust_root: str) -> Any:
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier

    return Verifier(trusted_root=TrustedRoot.from_file(trust_root))
