"""Describe what of an image is not copied, on purpose."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.platform import Platform
from imgsync.oci.spec.reference import Reference


def describe_left_out(platforms: Iterable[Platform], layers: Iterable[Descriptor]) -> tuple[str, ...]:
    """
    Return a phrase for each part that is left out.

    Args:
        platforms: Requested ones that the image lacks.
        layers: External ones that the source registry lacks.
    """
    return (
        *(f"platform {platform} that the image does not have" for platform in platforms),
        *(f"external layer {layer.digest} that the source registry does not have" for layer in layers),
    )


def describe_other_tag(reference: Reference) -> str:
    """Return the phrase for a tag that others wrote at the destination."""
    return f"the source's {reference.tag}, because the destination's tag holds layers of others"


def warn_of_other_tag(reference: Reference) -> str:
    """Return the warning about a tag that others wrote at the destination."""
    return f"{reference} holds layers that the source's tag does not have, and lacks some that it has; left unchanged"
