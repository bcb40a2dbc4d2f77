"""OCI layouts of tests: made by hand in the forms of other tools, and read without imgsync."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.images import Image, digest_of, to_json

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"


def named(name: str) -> dict[str, str]:
    """Return the annotations by which imgsync names an image."""
    return {CONTAINERD_NAME: name, REF_NAME: name}


@dataclass(frozen=True)
class LayoutOnDisk:
    """One layout in a folder."""

    folder: Path

    def make(self) -> LayoutOnDisk:
        """Make an empty layout; return it."""
        (self.folder / "blobs/sha256").mkdir(parents=True)
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        (self.folder / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
        return self

    def add(self, content: Image, *, annotations: Mapping[str, str] | None = None, listed: bool = True, **fields: object) -> Image:
        """Store *content*, and list its root with these *annotations*; return it."""
        for digest, blob in (*content.all_blobs.items(), *content.manifests.items()):
            self.blob(digest).write_bytes(blob)
        if listed:
            entry = {"mediaType": content.media_type, "digest": content.digest, "size": len(content.raw), **fields}
            document = json.loads((self.folder / "index.json").read_bytes())
            document["manifests"].append(entry | ({"annotations": dict(annotations)} if annotations else {}))
            (self.folder / "index.json").write_bytes(to_json(document))
        return content

    def blob(self, digest: str) -> Path:
        """Return the file of a blob."""
        return self.folder / "blobs" / digest.replace(":", "/")

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of index.json."""
        return json.loads((self.folder / "index.json").read_bytes())["manifests"]

    @property
    def names(self) -> dict[str, str]:
        """Return the digest of each name, which both annotations must have."""
        named = [entry for entry in self.entries if {REF_NAME, CONTAINERD_NAME} & entry.get("annotations", {}).keys()]
        assert all(entry["annotations"][REF_NAME] == entry["annotations"][CONTAINERD_NAME] for entry in named)
        return {entry["annotations"][REF_NAME]: entry["digest"] for entry in named}

    @property
    def blobs(self) -> set[str]:
        """Return the digest of every blob, each of which must have the bytes of its digest."""
        found = {f"sha256:{file.name}": file for file in (self.folder / "blobs/sha256").iterdir()}
        for digest, file in found.items():
            assert digest_of(file.read_bytes()) == digest
        return set(found)

    def assert_holds(self, name: str, content: Image) -> None:
        """Assert that *name* is *content*, completely and byte for byte."""
        assert self.names[name] == content.digest
        for digest, blob in (*content.all_blobs.items(), *content.manifests.items()):
            assert self.blob(digest).read_bytes() == blob
