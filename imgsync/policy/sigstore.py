"""
Signatures without a key of their own: a certificate says who signed, and logs vouch for it.

Verified by `sigstore`, offline, with the trust root that the operator gives. Its one home; it is imported when an identity is asked for.
Spec: design.md §2 `require`; sigstore's bundle 0.3, as cosign keeps it in a referrer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from imgsync.config.model import SigningIdentity
from imgsync.policy.cosign import Signed, statement_problem
from imgsync.text.sanitize import sanitize_message


def identity_problem(raw: bytes, signers: Sequence[SigningIdentity], wanted: Signed) -> str:
    """Return why the bundle *raw* is no signature of *wanted* by one of *signers*, "" when it is."""
    reasons = {_problem(raw, signer, wanted): None for signer in signers}
    return "" if "" in reasons else ", ".join(reasons)


def _problem(raw: bytes, signer: SigningIdentity, wanted: Signed) -> str:
    from sigstore.models import Bundle
    from sigstore.verify import policy

    # Equal, not similar: a pattern without anchors has let strangers in elsewhere.
    issuer = policy.AnyOf([policy.OIDCIssuerV2(signer.issuer), policy.OIDCIssuer(signer.issuer)])
    who = policy.AllOf([policy.Identity(identity=signer.identity), issuer])
    try:
        kind, payload = _verifier(signer.trust_root).verify_dsse(Bundle.from_json(raw), who)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes lead a library to, they vouch for nothing
        return f"not vouched for ({sanitize_message(str(error)) or type(error).__name__})"
    return statement_problem(kind, payload, wanted)


@cache
def _verifier(trust_root: str) -> Any:
    from sigstore.models import TrustedRoot
    from sigstore.verify import Verifier

    return Verifier(trusted_root=TrustedRoot.from_file(trust_root))
