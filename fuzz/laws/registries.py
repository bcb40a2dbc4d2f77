"""Check what registries serve: lists, blobs, manifests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from fuzz.canned import Canned
from fuzz.laws.shared import BLOB, REPOSITORY
from imgsync.errors import ImgsyncError, UnsupportedContentError
from imgsync.listing.catalog import Catalog
from imgsync.listing.dockerhub import URL as HUB
from imgsync.listing.dockerhub import DockerHub
from imgsync.listing.gcr import Gcr
from imgsync.listing.ghcr import URL as GITHUB
from imgsync.listing.ghcr import Ghcr
from imgsync.listing.gitlab import GitLab
from imgsync.listing.harbor import Harbor
from imgsync.listing.model import ListingApi
from imgsync.listing.quay import Quay
from imgsync.oci.download import download
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.digest import compute_digest, is_digest
from imgsync.oci.spec.manifest import Manifest, parse_manifest
from imgsync.oci.spec.reference import is_repository_path, is_tag
from imgsync.oci.spec.referrers import add_referrers
from imgsync.oci.spec.select_platforms import select_platforms
from imgsync.oci.tag_names import list_tags_in_one_page
from imgsync.oci.upload import begin_upload


def listings(data: bytes) -> None:
    """
    Check the lists of repositories and tags of every listing API.

    Names match the grammar, are sorted and unique, or there is an error. No login reaches an untrusted host.
    """
    first, _, text = data.partition(b"\n")
    kinds = sorted(_LISTING_APIS)
    words = first.decode("latin-1").split()
    kind = words[0] if words and words[0] in _LISTING_APIS else kinds[len(first) % len(kinds)]
    canned = Canned(text, registry={"dockerhub": "docker.io", "ghcr": "ghcr.io"}.get(kind, "r.corp.com"))
    api = _LISTING_APIS[kind](canned)
    with contextlib.suppress(ImgsyncError):
        if "tags" in words:
            found = api.tags("team/app")
            names = [tag.name for tag in found.tags]
            assert all(map(is_tag, names))
            assert names == sorted(set(names))
            assert all(tag.digest is None or is_digest(tag.digest) for tag in found.tags)
            assert all(tag.created_at is None or tag.created_at.tzinfo is not None for tag in found.tags)
            assert all(tag.size_bytes is None or tag.size_bytes >= 0 for tag in found.tags)
            assert all(map(is_repository_path, found.children))
            assert all(warning.isprintable() for warning in found.warnings)
        else:
            listed = api.repositories("team")
            paths = [one.path for one in listed.repositories]
            assert all(map(is_repository_path, paths))
            assert len(paths) == len(set(paths))
            assert all(warning.isprintable() for warning in listed.warnings)
    with contextlib.suppress(ImgsyncError):
        assert all(isinstance(tag, str) for tag in list_tags_in_one_page(canned.client, REPOSITORY) or ())


_LISTING_APIS: Mapping[str, Callable[[Canned], ListingApi]] = {
    "catalog": lambda canned: Catalog(canned.client),
    "dockerhub": lambda canned: DockerHub(canned.api(HUB)),
    "gcr": lambda canned: Gcr(canned.client),
    "ghcr": lambda canned: Ghcr(canned.api(GITHUB), canned.client),
    "gitlab": lambda canned: GitLab(canned.api(""), canned.client),
    "harbor": lambda canned: Harbor(canned.api("")),
    "quay": lambda canned: Quay(canned.api("")),
}


def blobs(data: bytes) -> None:
    """
    Check blobs downloaded in ranges and blobs uploaded to a Location.

    Never more bytes than the blob has, and no byte to another host.
    """
    first, _, text = data.partition(b"\n")
    canned = Canned(text, origin="destination")
    start = len(first) % BLOB.size_bytes
    if first.startswith(b"download"):
        with contextlib.suppress(ImgsyncError):
            for _ in download(canned.client, REPOSITORY, BLOB, start=start, end=BLOB.size_bytes if b"part" in first else None):
                pass
        return
    if b"chunks" in first:
        canned.client.capabilities.learn_body_limit(7)
    with contextlib.suppress(ImgsyncError):
        session = begin_upload(canned.client, REPOSITORY, BLOB, mount_from="other" if b"mount" in first else "")
        if session is not None:
            assert urlsplit(session.location)[:2] == ("https", "r.corp.com")
            try:
                session.put([b"content of ", b"a blob"])
            finally:
                session.cancel()


def manifests(data: bytes) -> None:
    """
    Check manifests and indexes, also with fewer platforms or added referrers.

    The bytes stay unchanged, and sizes and digests are valid.
    """
    try:
        manifest = parse_manifest(data, content_type="application/vnd.oci.image.index.v1+json")
    except UnsupportedContentError:
        return
    assert manifest.raw == data
    assert manifest.digest == compute_digest(data)
    for one in (*manifest.children, *manifest.blobs, *([manifest.subject] if manifest.subject else [])):
        assert is_digest(one.digest)
        assert 0 <= one.size_bytes < 1 << 63
    platforms = [child.platform for child in manifest.children if child.platform]
    with contextlib.suppress(UnsupportedContentError):
        chosen = select_platforms(manifest, platforms[:1], read_child=_refuse_child).root
        assert {child.digest for child in chosen.children} <= {child.digest for child in manifest.children}
        assert select_platforms(chosen, platforms[:1], read_child=_refuse_child).root.raw == chosen.raw
    with contextlib.suppress(UnsupportedContentError):
        grown = add_referrers(manifest, [manifest], source=None)
        assert grown is None or manifest.digest in {child.digest for child in grown.children}
    with contextlib.suppress(UnsupportedContentError):
        add_referrers(None, [manifest], source=manifest)


def _refuse_child(_parent: Manifest, child: Descriptor) -> Manifest:
    raise UnsupportedContentError(child.digest)
