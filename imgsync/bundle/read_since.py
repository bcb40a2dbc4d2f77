"""Read what earlier bundles carried to the other side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from imgsync.bundle.document import LIMIT_BYTES, decode_bundle
from imgsync.bundle.holdings import Holdings
from imgsync.bundle.model import DOCUMENT_NAME, Bundle, BundleImage
from imgsync.bundle.read_file import read_limited
from imgsync.errors import UsageError
from imgsync.oci.spec.digest import shorten_digest
from imgsync.oci.spec.reference import Repository


def read_chain(paths: Sequence[str]) -> tuple[Bundle, ...]:
    """
    Return the bundles at *paths*, each after its parent.

    Each path is a folder of a bundle or its document.

    Raises:
        BundleError: A document is damaged.
        UsageError: A file cannot be read, a parent is missing, or the bundles are not one chain.
    """
    by_id: dict[str, tuple[str, Bundle]] = {}
    for path in paths:
        bundle = _read(path)
        by_id.setdefault(bundle.id, (path, bundle))
    for path, bundle in by_id.values():
        if bundle.parent and bundle.parent not in by_id:
            raise UsageError(
                f"{path} continues bundle {shorten_digest(bundle.parent)}, which is missing",
                hint="name it with another --since: all bundles back to one without a parent are needed",
            )
    children = Counter(bundle.parent for _, bundle in by_id.values())
    twice = next((parent for parent, count in children.items() if count > 1), None)
    if twice is not None:
        names = " and ".join(path for path, bundle in by_id.values() if bundle.parent == twice)
        what = f"they continue the same bundle, {shorten_digest(twice)}" if twice else "each of them begins a chain"
        raise UsageError(
            f"{names} are not one chain: {what}", hint="name the bundles of one chain; a bundle made without --since, also with --have, begins one"
        )
    return tuple(_order({bundle.parent: bundle for _, bundle in by_id.values()}))


def _order(by_parent: dict[str, Bundle]) -> Iterator[Bundle]:
    current = ""
    while current in by_parent:
        yield by_parent[current]
        current = by_parent[current].id


def hold_bundles(chain: Iterable[Bundle]) -> Holdings:
    """Return what the other side has once all of *chain* were loaded."""
    holdings = Holdings()
    for bundle in chain:
        _hold(holdings, bundle)
    return holdings


def _hold(holdings: Holdings, bundle: Bundle) -> None:
    for image in bundle.images:
        repository = image.destination.repository
        if image.destination.tag:
            holdings.set_tag(repository, image.destination.tag, image.digest)
        for referrer in image.referrers:
            holdings.add_referrer(repository, referrer.subject, referrer.digest)
            if referrer.tag:
                holdings.set_tag(repository, referrer.tag, referrer.digest)
    for repository, digest, size_bytes in _find_places(bundle):
        holdings.add_content(repository, ((digest, size_bytes),), held_by=bundle.id)
    registries = {image.destination.repository.registry for image in bundle.images}
    for expected in bundle.expects:
        # Of several registries, the document says which ones hold it.
        alone = (Repository(registry, path) for registry in registries for path in expected.repositories) if len(registries) == 1 else ()
        for place in expected.places or alone:
            holdings.add_content(place, ((expected.digest, expected.size_bytes),), held_by=expected.held_by or bundle.id)


def _find_places(bundle: Bundle) -> Iterator[tuple[Repository, str, int]]:
    """
    Yield where each blob of *bundle* went, with its size.

    The document lists blobs in the order of `read_content`: those of a manifest, then the manifest itself. A blob that several manifests name is listed
    once, before the first of them.
    """
    owners: dict[str, list[BundleImage]] = {}
    for image in bundle.images:
        for digest in (*image.manifests, *(referrer.digest for referrer in image.referrers)):
            owners.setdefault(digest, []).append(image)
    waiting: list[tuple[str, int]] = []
    for blob in bundle.blobs:
        waiting.append((blob.digest, blob.size_bytes))
        found = owners.get(blob.digest)
        if found is not None:
            for repository in dict.fromkeys(image.destination.repository for image in found):
                yield from ((repository, *one) for one in waiting)
            waiting.clear()


def _read(path: str) -> Bundle:
    file = Path(path)
    if file.is_dir():
        file /= DOCUMENT_NAME
    try:
        raw = read_limited(file.parent, file.name, limit_bytes=LIMIT_BYTES)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}", hint="name the folder of a bundle, or its imgsync-bundle.json") from error
    return decode_bundle(raw, name=str(file))
