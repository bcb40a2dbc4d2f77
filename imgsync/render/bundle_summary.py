"""Show what `bundle create` wrote."""

from __future__ import annotations

from collections.abc import Iterator

from imgsync.bundle.summary import BundleSummary
from imgsync.oci.spec.digest import shorten_digest
from imgsync.text.sanitize import sanitize_line, sanitize_short
from imgsync.text.units import format_bytes, format_count

_SHOWN = 20


def render_bundle_summary(summary: BundleSummary) -> str:
    """Return *summary* as text, with its last line break."""
    return "".join(f"{line}\n" for line in _iter_lines(summary))


def _iter_lines(summary: BundleSummary) -> Iterator[str]:
    bundle = summary.bundle
    yield from map(sanitize_line, summary.notes)
    for destination, reason in list(summary.left_out)[:_SHOWN]:
        yield f"Left out: {sanitize_line(str(destination))}: {sanitize_line(reason)}"
    if len(summary.left_out) > _SHOWN:
        yield f"Left out: {len(summary.left_out) - _SHOWN} more."
    if summary.stopped:
        yield f"Stopped: {sanitize_line(summary.stopped)}. Run the same command again to continue."
    elif bundle is None:
        yield "No bundle was written." if summary.left_out or summary.has_errors else "Nothing to carry: the other side has everything. No bundle was written."
    elif summary.only_volume is not None:
        volume = bundle.volumes[summary.only_volume - 1]
        yield f"Made {volume.file} of bundle {shorten_digest(bundle.id)} in {sanitize_short(summary.folder)} again: {format_bytes(volume.size_bytes)}."
        yield "The bundle is the same, so its signature stays valid."
    else:
        images, blobs = format_count(len(bundle.images), "image"), format_count(len(bundle.blobs), "blob")
        expected = f"; {format_count(len(bundle.expects), 'blob')} left out, which the other side has" if bundle.expects else ""
        yield f"Bundle {shorten_digest(bundle.id)} in {sanitize_short(summary.folder)}: {images}, {blobs}, {format_bytes(bundle.size_bytes)}{expected}."
        for volume in bundle.volumes:
            yield f"  {volume.file}  {format_bytes(volume.size_bytes)}"
        yield f"Sign it: {summary.signing_command}"
