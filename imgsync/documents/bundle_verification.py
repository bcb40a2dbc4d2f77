"""imgsync.bundle-verification/v1: the result of bundle verify."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from imgsync.bundle.check_volume import Problem
from imgsync.bundle.findings import SignatureCheck, Verification, VolumeAlone

FORMAT = "imgsync.bundle-verification/v1"


def encode_bundle_verification(found: Verification, signature: SignatureCheck) -> dict[str, Any]:
    """Return *found* as a document, with what is known of the *signature*."""
    return {
        "format": FORMAT,
        "bundle": found.bundle.id,
        "is_intact": found.is_intact,
        "signature": {"is_checked": signature.is_checked, "signer": signature.signer or None, "file": signature.file or None},
        "volumes": [
            {
                "file": one.file,
                "size_bytes": one.size_bytes,
                "is_intact": one.is_intact,
                "unusable": one.unusable or None,
                "problem_count": one.problem_count,
                "problems": _encode_problems(one.problems),
                "costs": list(one.costs),
            }
            for one in found.volumes
        ],
        "lost": [
            {
                "source": str(one.image.source),
                "destination": str(one.image.destination),
                "digest": one.image.digest,
                "reasons": list(one.reasons),
                "volumes": list(one.volumes),
            }
            for one in found.lost
        ],
    }


def encode_volume_verification(found: VolumeAlone, name: str) -> dict[str, Any]:
    """Return the verification of the volume *name* alone as a document."""
    return {
        "format": FORMAT,
        "bundle": found.document.bundle_id,
        "is_intact": found.is_intact,
        "signature": None,
        "volumes": [
            {
                "file": name,
                "number": found.document.number,
                "of": found.document.count,
                "is_intact": found.is_intact,
                "problem_count": len(found.problems),
                "problems": _encode_problems(found.problems),
            }
        ],
        "images": list(found.images),
    }


def _encode_problems(problems: Iterable[Problem]) -> list[dict[str, Any]]:
    return [{"message": one.message, "digest": one.digest or None, "offset": one.offset} for one in problems]
