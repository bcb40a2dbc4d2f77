"""Google's `tags/list` over the content of a real registry."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import httpx

from tests.support.images import ANY_MANIFEST, plain_client
from tests.support.wire import Answer, Request, plain_answer
from tests.switches import Switch

_UPLOADED_MS = "1767225600000"


class GcrListing(Switch):
    """
    Answer `/v2/tags/list` and `/v2/<path>/tags/list` as Google's registries do, from what *registry* holds.

    As `artifact_registry` it knows neither sizes nor creation times ("0"), as Artifact Registry does not. Added to a proxy:
    `proxy.add(GcrListing(registry), method="GET", target="tags/list")`.
    """

    def __init__(self, registry: object, *, artifact_registry: bool = False) -> None:
        """Look into *registry* for each answer."""
        self._registry = registry
        self._artifact_registry = artifact_registry

    def request(self, request: Request) -> Request | Answer:
        """Answer a listing; let everything else through."""
        found = re.fullmatch(r"/v2/(?:(.+)/)?tags/list", request.path)
        if found is None:
            return request
        with plain_client(self._registry) as http:
            document = self._listing(http, found.group(1) or "")
        if document is None:
            return plain_answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"no such path"}]}')
        return plain_answer(200, json.dumps(document).encode())

    def _listing(self, http: httpx.Client, path: str) -> dict[str, Any] | None:
        below = f"{path}/" if path else ""
        every = _catalog(http)
        children = sorted({name.removeprefix(below).partition("/")[0] for name in every if name.startswith(below)})
        tags = _tags(http, path) if path in every else []
        if not children and not tags:
            return None
        manifests: dict[str, Any] = {}
        for tag in tags:
            self._describe(http, path, tag, manifests, tagged=True)
        return {"child": children, "manifest": manifests, "name": path, "tags": tags}

    def _describe(self, http: httpx.Client, path: str, reference: str, manifests: dict[str, Any], *, tagged: bool) -> None:
        """Add a manifest, and the children of an index without tags."""
        answer = http.get(f"/v2/{path}/manifests/{reference}", headers={"Accept": ANY_MANIFEST})
        digest, document = answer.headers["docker-content-digest"], answer.json()
        entry = manifests.setdefault(digest, self._entry(http, path, answer.headers["content-type"], document))
        if tagged:
            entry["tag"].append(reference)
        for child in document.get("manifests", ()):
            self._describe(http, path, child["digest"], manifests, tagged=False)

    def _entry(self, http: httpx.Client, path: str, media_type: str, document: dict[str, Any]) -> dict[str, Any]:
        blobs = [document["config"], *document["layers"]] if "config" in document else []
        known = not self._artifact_registry
        return {
            "imageSizeBytes": str(sum(blob["size"] for blob in blobs)) if known else "0",
            "layerId": "",
            "mediaType": media_type,
            "tag": [],
            "timeCreatedMs": _created_ms(http, path, document) if known else "0",
            "timeUploadedMs": _UPLOADED_MS,
        }


def _catalog(http: httpx.Client) -> list[str]:
    return list(http.get("/v2/_catalog?n=1000").json()["repositories"])


def _tags(http: httpx.Client, path: str) -> list[str]:
    answer = http.get(f"/v2/{path}/tags/list")
    return sorted(answer.json().get("tags") or []) if answer.status_code == 200 else []


def _created_ms(http: httpx.Client, path: str, document: dict[str, Any]) -> str:
    """Return the image's creation time; 0 for an index or if unknown."""
    if "config" not in document:
        return "0"
    created = http.get(f"/v2/{path}/blobs/{document['config']['digest']}").json().get("created")
    return str(int(dt.datetime.fromisoformat(created).timestamp() * 1000)) if created else "0"
