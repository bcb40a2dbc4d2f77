"""
The tags of one repository, and below Google's registries all that one answer knows: digests, sizes, dates, children.

Spec: distribution-spec 1.1 "Listing Tags" (end-8); registry-facts: Google's `tags/list` extension.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from imgsync.oci.listing.model import ListedTag, TagListing
from imgsync.oci.listing.page import Names, pages
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.text.units import parse_integer


def list_tags(client: RegistryClient, path: str, *, page_size: int | None = None) -> TagListing:
    """
    Return the tags of the repository at *path*; `tags: null` is an empty list, what is no tag is left out with a warning.

    *page_size* asks for so many a page, None for as many as the registry likes. An empty *path* asks for the
    registry's own `tags/list`, which only Google's registries have.

    Raises:
        RegistryError: The listing fails, on whichever page.
    """
    operation = client.make_operation("list tags of", f"{client.registry}/{path}" if path else client.registry)
    target = (f"/v2/{path}/tags/list" if path else "/v2/tags/list") + (f"?n={page_size}" if page_size else "")
    names = Names(operation, is_tag)
    facts: dict[str, ListedTag] = {}
    children = Names(operation, is_repository_path)
    google = False
    for page in pages(client, names, target, scopes=(f"repository:{path}:pull",) if path else (), field="tags"):
        google = google or bool(page.get("manifest")) or bool(page.get("child"))
        children.add(_texts(page.get("child")))
        facts.update((tag, fact) for tag, fact in _google_facts(page.get("manifest")).items() if tag in names.good)
    return TagListing(
        tags=tuple(facts.get(name, ListedTag(name)) for name in sorted(names.good)),
        children=tuple(children.good),
        with_digests=google and all(name in facts for name in names.good),
        warnings=names.warnings("no tags"),
    )


def _google_facts(manifests: object) -> dict[str, ListedTag]:
    if not isinstance(manifests, dict):
        return {}
    found: dict[str, ListedTag] = {}
    for digest, entry in manifests.items():
        if not is_digest(str(digest)) or not isinstance(entry, dict):
            continue
        for tag in _texts(entry.get("tag")):
            found[tag] = _listed(tag, str(digest), entry)
    return found


def _listed(tag: str, digest: str, entry: dict[str, Any]) -> ListedTag:
    # Artifact Registry fills what it does not know with "0".
    size = _number(entry.get("imageSizeBytes"))
    moment = _number(entry.get("timeCreatedMs")) or _number(entry.get("timeUploadedMs"))
    media_type = entry.get("mediaType")
    return ListedTag(
        name=tag,
        digest=digest,
        size_bytes=size or None,
        created_at=datetime.fromtimestamp(moment / 1000, UTC) if 0 < moment < 1e14 else None,
        media_type=media_type if isinstance(media_type, str) else None,
    )


def _number(value: object) -> int:
    """Return a count given as a number or as text; 0 when it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return (parse_integer(value) or 0) if isinstance(value, str) else 0


def _texts(value: object) -> Iterable[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
