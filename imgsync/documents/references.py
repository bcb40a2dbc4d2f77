"""imgsync.references/v1: what `imgsync discover` found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import imgsync
from imgsync.discover.coverage import Coverage, Covered
from imgsync.discover.model import Certainty, FoundImage, SkippedInput

FORMAT = "imgsync.references/v1"


def encode_references(images: Sequence[FoundImage], skipped: Sequence[SkippedInput], coverage: Sequence[Coverage] | None, *, created_at: str) -> dict[str, Any]:
    """
    Return what was found as a document.

    Without declarations to compare with, *coverage* is None.
    """
    counts = {certainty.value: sum(image.certainty is certainty for image in images) for certainty in Certainty}
    distinct = len({image.reference for image in images if image.reference is not None})
    document: dict[str, Any] = {
        "format": FORMAT,
        "imgsync": imgsync.__version__,
        "created_at": created_at,
        "summary": {"images": distinct, **counts, "skipped": len(skipped)},
        "references": [_encode_image(image) for image in images],
        "skipped": [{"file": one.file, "line": one.line or None, "message": one.message, "hint": one.hint or None} for one in skipped],
    }
    if coverage is not None:
        document["summary"] |= {covered.value: sum(one.covered is covered for one in coverage) for covered in Covered}
        document["coverage"] = [_encode_coverage(one) for one in coverage]
    return document


def _encode_image(image: FoundImage) -> dict[str, Any]:
    return {
        "reference": None if image.reference is None else str(image.reference),
        "text": image.text,
        "certainty": image.certainty.value,
        "file": image.file,
        "line": image.line or None,
        "field": image.field or None,
        "reason": image.reason or None,
    }


def _encode_coverage(one: Coverage) -> dict[str, Any]:
    return {
        "reference": str(one.reference),
        "covered": one.covered.value,
        "mirrors": list(one.mirrors),
        "reason": one.reason or None,
        "hint": one.hint or None,
    }
