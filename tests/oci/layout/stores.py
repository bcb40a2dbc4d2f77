"""Stores of layouts without the engine, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgsync.oci.layout.open_layout import OpenLayout
from imgsync.oci.layout.store import LayoutStore
from imgsync.oci.limits.retry import RetryPolicy
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import parse_manifest
from imgsync.oci.spec.reference import Repository, parse_reference
from tests.support.images import Image

ONCE = RetryPolicy(attempts=1, interval_seconds=0)


@contextmanager
def opened(
    folder: Path,
    origin: str = "destination",
    *,
    repository: str | None = None,
    warnings: list[str] | None = None,
    run_blocking: Callable[..., Any] = lambda function: function(),
) -> Iterator[LayoutStore]:
    """Open the layout `usb` in *folder*, as one run does."""
    told: list[str] = [] if warnings is None else warnings
    layout = OpenLayout("usb", str(folder), repository=repository, run_blocking=run_blocking, on_warning=told.append)
    try:
        yield LayoutStore("oci-layout:usb", origin, layout, ONCE)
    finally:
        layout.close()


def repository(path: str) -> Repository:
    """Return a repository of the layout `usb`."""
    return Repository("oci-layout:usb", path)


def blob(digest: str, content: bytes) -> Descriptor:
    """Return the descriptor of a blob."""
    return Descriptor("application/octet-stream", digest, len(content))


def send(store: LayoutStore, path: str, digest: str, content: bytes, *, mount_from: str = "") -> int | None:
    """Bring one blob into a repository; return the status of a refused mount, None if it was mounted."""
    upload = store.begin_upload(repository(path), blob(digest, content), mount_from=mount_from)
    if upload is None:
        return None
    upload.put([content[:100], memoryview(content)[100:]])
    return upload.mount_status


def push(store: LayoutStore, name: str, content: Image) -> Image:
    """Push *content* as NAME, which is PATH:TAG or PATH alone; return it."""
    reference = parse_reference(f"oci-layout:usb/{name}")
    for digest, data in content.all_blobs.items():
        send(store, reference.repository.path, digest, data)
    for part in content.parts:
        manifest = parse_manifest(part.raw, content_type=part.media_type)
        is_tagged = part is content and reference.tag
        store.push_manifest(reference if is_tagged else reference.repository.with_digest(part.digest), manifest)
    return content
