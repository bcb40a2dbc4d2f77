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


def find_file_problem(raw: bytes, signers: Sequence[SigningIdentity], data: bytes) -> str:
    """
    Return why the bundle *raw* does not sign *data*, or "".

    The signature must be by one of *signers*, as `cosign sign-blob` makes it.
    """
    from sigstore.models import Bundle

    reasons: dict[str, None] = {}
    for signer in signers:
        try:
            _make_verifier(signer.trust_root).verify_artifact(data, Bundle.from_json(raw), _make_policy(signer))
        except Exception as error:  # noqa: BLE001 - untrusted input may raise anything in the library
            reasons[_explain(error)] = None
        else:
            return ""
    return ", ".join(reasons) or "by an identity, and none is required"


def _check(raw: bytes, signer: SigningIdentity, image: SignedImage) -> str:
    from sigstore.models import Bundle

    try:
        kind, payload = _make_verifier(signer.trust_root).verify_dsse(Bundle.from_json(raw), _make_policy(signer))
    except Exception as error:  # noqa: BLE001 - untrusted input may raise anything in the library
        return _explain(error)
    return find_statement_problem(kind, payload, image)


def _make_policy(signer: SigningIdentity) -> Any:
    from sigstore.verify import policy

    # Exact matches only: unanchored patterns have admitted untrusted signers elsewhere.
    issuer = policy.AnyOf([policy.OIDCIssuerV2(signer.issuer), policy.OIDCIssuer(signer.issuer)])
    return policy.AllOf([policy.Identity(identity=signer.identity), issuer])


def _explain(error: Exception) -> str:
    return f"not verified ({sanitize_message(str(error)) or type(error).__name__})"


@cache
def _make_verifier(trust_root: str) -> Any:
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier

    return Verifier(trusted_root=TrustedRoot.from_file(trust_root))
