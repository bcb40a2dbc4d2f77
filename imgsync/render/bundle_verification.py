"""The verification of a bundle as text: signature, volumes, lost images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imgsync.bundle.check_volume import Problem
from imgsync.bundle.findings import LostImage, SignatureCheck, Verification, VolumeAlone, VolumeCheck
from imgsync.oci.spec.digest import shorten_digest
from imgsync.text.layout import PLAIN, Layout, wrap, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_bytes, format_count

_INDENT = " " * 6
_SHOWN = 10


def render_bundle_verification(found: Verification, signature: SignatureCheck, *, layout: Layout = PLAIN) -> str:
    """Return *found* as text, with what is known of the *signature*."""
    return "\n".join(_render_bundle(found, signature, layout)) + "\n"


def render_volume_verification(found: VolumeAlone, name: str, *, layout: Layout = PLAIN) -> str:
    """Return the verification of the volume *name* alone as text."""
    document = found.document
    lines = [f"Volume {document.number} of {document.count} of bundle {shorten_digest(document.bundle_id)}", ""]
    lines.append(f"  {'=' if found.is_intact else 'x'} {sanitize_short(name)}   {'every byte is as it should be' if found.is_intact else 'damaged'}")
    lines += _render_problems(found.problems, len(found.problems), layout)
    lines += ["", *([f"It has the manifests of {format_count(len(found.images), 'image')}."] if found.images else [])]
    lines += wrap_on_terminal("A volume alone has no signature: `imgsync bundle verify DIR` checks it for the whole bundle.", layout, rest="  ")
    return "\n".join(lines) + "\n"


def _render_bundle(found: Verification, signature: SignatureCheck, layout: Layout) -> Iterator[str]:
    bundle = found.bundle
    counts = f"{format_count(len(bundle.images), 'image')}, {format_count(len(bundle.volumes), 'volume')}, {format_bytes(bundle.size_bytes)}"
    yield f"Bundle {shorten_digest(bundle.id)}   {counts}"
    yield ""
    yield from wrap_on_terminal(f"  {'=' if signature.is_checked else '?'} signature   {sanitize_short(describe_signature(signature))}", layout, rest=_INDENT)
    for volume in found.volumes:
        yield from _render_volume(volume, layout)
    if found.lost:
        yield ""
        yield f"{format_count(len(found.lost), 'image')} cannot be loaded:"
        for image in found.lost:
            yield from _render_lost(image, layout)
    yield ""
    yield from wrap_on_terminal(_summarize(found), layout, rest="  ")
    damaged = [number for number, volume in enumerate(found.volumes, 1) if not volume.is_intact]
    if damaged:
        them, options = ("it", f"--volume {damaged[0]}") if len(damaged) == 1 else ("them", "--volume NUMBER for each")
        text = f"Copy {them} again, or make {them} again: `imgsync bundle create` as before, with {options}."
        if any(volume.is_missing for volume in found.volumes):
            text += " If they are in other folders, name each with --volumes."
        yield from wrap_on_terminal(text, layout, rest="  ")


def describe_signature(signature: SignatureCheck) -> str:
    """Return who signed a bundle, or that it was not checked."""
    if signature.is_checked:
        return f"by {signature.signer}, in {signature.file}"
    found = f"{' and '.join(signature.present)} not checked" if signature.present else "none"
    return f"{found}; `bundles` in registries.yaml requires none"


def _render_volume(volume: VolumeCheck, layout: Layout) -> Iterator[str]:
    why = volume.unusable or (f"damaged: {format_count(volume.problem_count, 'problem')}" if volume.problem_count else "")
    size = format_bytes(volume.size_bytes)
    yield f"  {'=' if volume.is_intact else 'x'} {sanitize_short(volume.file)}   {size}{f'   {sanitize_short(why)}' if why else ''}"
    yield from _render_problems(volume.problems, volume.problem_count, layout)
    if not volume.is_intact:
        costs = f"costs {format_count(len(volume.costs), 'image')}" if volume.costs else "costs no image"
        yield f"{_INDENT}{costs}"


def _render_problems(problems: Sequence[Problem], count: int, layout: Layout) -> Iterator[str]:
    for problem in problems[:_SHOWN]:
        yield from wrap(sanitize_short(problem.message), layout.width, first=_INDENT, rest=_INDENT)
    if count > _SHOWN:
        yield f"{_INDENT}and {count - min(_SHOWN, len(problems))} more"


def _render_lost(lost: LostImage, layout: Layout) -> Iterator[str]:
    yield f"  x {sanitize_short(str(lost.image.destination))}"
    for reason in lost.reasons[:_SHOWN]:
        yield from wrap(sanitize_short(reason), layout.width, first=_INDENT, rest=_INDENT)
    if len(lost.reasons) > _SHOWN:
        yield f"{_INDENT}and {len(lost.reasons) - _SHOWN} more"


def _summarize(found: Verification) -> str:
    intact = sum(volume.is_intact for volume in found.volumes)
    volumes, images = len(found.volumes), len(found.bundle.images)
    return f"{intact} of {format_count(volumes, 'volume')} intact, {images - len(found.lost)} of {format_count(images, 'image')} complete."
