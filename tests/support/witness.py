"""Check what a registry serves, with skopeo and plain HTTP."""

from __future__ import annotations

import subprocess

from tests.support.images import Image, digest_of
from tests.support.registry_process import RegistryProcess


def raw_manifest(registry: RegistryProcess, repository: str, tag: str) -> bytes:
    """Return the manifest of a tag, as skopeo reads it."""
    credentials = ["--creds", ":".join(registry.login)] if registry.login else []
    command = ["skopeo", "inspect", "--raw", "--tls-verify=false", *credentials, f"docker://{registry.host}/{repository}:{tag}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def assert_served(registry: RegistryProcess, repository: str, tag: str, image: Image) -> None:
    """Assert that the tag serves *image* completely, byte for byte."""
    assert raw_manifest(registry, repository, tag) == image.raw
    for part in image.parts:
        answer = registry.get(f"{repository}/manifests/{part.digest}", accept=part.media_type)
        assert (answer.status_code, answer.content) == (200, part.raw)
        assert answer.headers["content-type"] == part.media_type
    for digest, content in image.all_blobs.items():
        answer = registry.get(f"{repository}/blobs/{digest}")
        assert answer.status_code == 200, f"{repository} lacks the blob {digest}"
        assert digest_of(answer.content) == digest
        assert answer.content == content
