"""Read the files of a layout whole, and check every digest."""

from __future__ import annotations

import json

from imgsync.oci.layout.files import LayoutFiles
from tests.support.archives import entries_of
from tests.support.images import digest_of


def read_all(files: LayoutFiles) -> dict[str, bytes]:
    """Return every manifest and blob that the index leads to, by digest; each is checked."""
    found: dict[str, bytes] = {}
    waiting = [digest for digest, _, _ in entries_of(files.read_index())]
    while waiting:
        digest = waiting.pop()
        if digest in found:
            continue
        content = found[digest] = b"".join(files.read_blob(digest))
        assert digest_of(content) == digest
        assert files.find_blob(digest) == len(content)
        if not content.startswith(b'{"schemaVersion"') and not content.startswith(b'{\n   "schemaVersion"'):
            continue
        document = json.loads(content)
        described = [*document.get("manifests", []), *document.get("layers", []), *filter(None, [document.get("config")])]
        for one in described:
            assert files.find_blob(one["digest"]) == one["size"], one
        waiting += [one["digest"] for one in described]
    return found
