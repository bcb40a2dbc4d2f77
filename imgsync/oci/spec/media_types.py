"""
Name and compare the media types of manifests.

Spec: RFC 9110 "Media Type": letter case and parameters do not matter.
"""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_SCHEMA_1_PREFIX = "application/vnd.docker.distribution.manifest.v1+"
IMAGE_CONFIG_TYPES = frozenset({"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"})
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_MANIFEST_TYPES = INDEX_TYPES | IMAGE_TYPES | {OCI_ARTIFACT}
# `*/*` also accepts schema 1. Otherwise the registry answers a plain 404, and we could not report schema 1 as the reason.
ACCEPT = ", ".join((OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST, OCI_ARTIFACT, "*/*;q=0.1"))


def normalize_media_type(text: str) -> str:
    """Return the media type *text* in lower case, without parameters."""
    return text.partition(";")[0].strip().lower()


def read_manifest_type(content_type: str) -> str:
    """
    Return the manifest type that *content_type* names, else "".

    Generic and unknown types, such as `application/json`, say nothing about a manifest.
    """
    media_type = normalize_media_type(content_type)
    return media_type if media_type in _MANIFEST_TYPES or media_type.startswith(DOCKER_SCHEMA_1_PREFIX) else ""
