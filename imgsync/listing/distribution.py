"""
List the tags of one repository by `tags/list`.

Google's registries extend the response with digests, sizes, dates and child repositories. Spec: distribution-spec 1.1 "Listing Tags" (end-8).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import Any

from imgsync.listing.collectors import NameCollector
from imgsync.listing.json_fields import convert_milliseconds
from imgsync.listing.model import ListedTag, ListedTags, TagListing
from imgsync.listing.page import PagedListing
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.text.units import parse_integer


def list_tags(client: RegistryClient, path: str, *, page_size: int = 0) -> TagListing:
    """
    Return the tags of a repository; skip invalid names with a warning.

    Args:
        client: The registry.
        path: The repository's path; "" for the root of Google's registries.
        page_size: How many tags to request at once, 0 for the registry's default.

    Raises:
        RegistryError: A page of the listing fails.
    """
    operation = client.make_operation("list tags of", f"{client.registry}/{path}" if path else client.registry)
    target = f"/v2/{path}/tags/list" if path else "/v2/tags/list"
    # Nexus lists null (containers/skopeo#2409), Artifactory lists digests (containers/skopeo#2346).
    names = NameCollector(operation, is_tag)
    found = ListedTags()
    children = NameCollector(operation, is_repository_path)
    for page in PagedListing(client, names, target, page_size, make_scopes(path, "pull") if path else (), "tags", repository=path).read():
        children.add(_keep_texts(page.get("child")))
        facts = {tag: fact for tag, fact in _read_google_tags(page.get("manifest")).items() if tag in names.valid}
        found.update(facts.values())
        found.update(ListedTag(tag) for tag in _keep_texts(page.get("tags")) if tag in names.valid and tag not in facts)
    if len(found) > len(names.valid):
        # Pages may overlap.
        found = ListedTags(_choose_facts(same) for _, same in groupby(found, key=attrgetter("name")))
    return TagListing(
        tags=found,
        children=tuple(children.valid),
        warnings=names.make_warnings("tags"),
    )


def _choose_facts(same: Iterable[ListedTag]) -> ListedTag:
    """Return the last row with a digest, if any, of one tag."""
    rows = list(same)
    return next((row for row in reversed(rows) if row.digest is not None), rows[0])


def _read_google_tags(manifests: object) -> dict[str, ListedTag]:
    if not isinstance(manifests, dict):
        return {}
    found: dict[str, ListedTag] = {}
    for digest, entry in manifests.items():
        if not is_digest(str(digest)) or not isinstance(entry, dict):
            continue
        for tag in _keep_texts(entry.get("tag")):
            found[tag] = _make_tag(tag, str(digest), entry)
    return found


def _make_tag(tag: str, digest: str, entry: dict[str, Any]) -> ListedTag:
    # Artifact Registry writes "0" for unknown values: marekaf/gcr-lifecycle-policy#6.
    size = _parse_number(entry.get("imageSizeBytes"))
    created, uploaded = (convert_milliseconds(_parse_number(entry.get(name))) for name in ("timeCreatedMs", "timeUploadedMs"))
    media_type = entry.get("mediaType")
    return ListedTag(
        name=tag,
        digest=digest,
        size_bytes=size or None,
        created_at=created or uploaded,
        media_type=media_type if isinstance(media_type, str) else None,
    )


def _parse_number(value: object) -> int:
    """Return a number or numeric text as int, else 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return (parse_integer(value) or 0) if isinstance(value, str) else 0


def _keep_texts(value: object) -> Iterable[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
