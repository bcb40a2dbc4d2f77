"""Look for a finished bundle in the folder to write to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from imgsync.bundle.document import LIMIT_BYTES, decode_bundle
from imgsync.bundle.model import DOCUMENT_NAME, Bundle
from imgsync.bundle.read_file import read_limited
from imgsync.errors import BundleError, UsageError
from imgsync.oci.spec.digest import shorten_digest

_OTHER = "name an empty folder, or delete that bundle"


def read_existing(folder: Path, draft: Bundle, *, only_volume: int | None) -> Bundle | None:
    """
    Return the bundle of *draft* that is in *folder*, if any.

    Raises:
        UsageError: It is another bundle or a damaged one, a volume of it is missing, or there is none and *only_volume* is given.
    """
    name = str(folder / DOCUMENT_NAME)
    if only_volume is not None and not 1 <= only_volume <= len(draft.volumes):
        raise UsageError(f"the bundle has no volume {only_volume}", hint=f"it has {len(draft.volumes)}")
    try:
        existing = decode_bundle(read_limited(folder, DOCUMENT_NAME, limit_bytes=LIMIT_BYTES), name=name)
    except FileNotFoundError:
        if only_volume is not None:
            raise UsageError(f"there is no bundle in {folder}", hint="a volume is made again beside its `imgsync-bundle.json`") from None
        return None
    except NotADirectoryError:
        raise UsageError(f"{folder} is not a folder", hint=_OTHER) from None
    except OSError as error:
        raise UsageError(f"{folder} holds a bundle that cannot be read: {error.strerror or error}", hint=_OTHER) from error
    except BundleError as error:
        raise UsageError(f"{folder} holds a bundle that cannot be read: {error.message}", hint=_OTHER) from error
    if make_draft(existing) != draft:
        raise UsageError(f"{folder} holds another bundle, {shorten_digest(existing.id)}", hint=_OTHER)
    if only_volume is None:
        _check_volumes(folder, existing)
    return existing


def make_draft(bundle: Bundle) -> Bundle:
    """Return *bundle* without its id and the digests of parts."""
    blobs = (replace(blob, parts=tuple(replace(part, digest="") for part in blob.parts)) if blob.parts else blob for blob in bundle.blobs)
    return replace(bundle, id="", blobs=tuple(blobs))


def _check_volumes(folder: Path, bundle: Bundle) -> None:
    for number, volume in enumerate(bundle.volumes, 1):
        try:
            size = (folder / volume.file).stat().st_size
        except OSError:
            size = -1
        if size != volume.size_bytes:
            raise UsageError(f"{folder / volume.file} is missing or has another size", hint=f"make it again: --volume {number}")
