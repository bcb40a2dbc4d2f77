"""
List referrers through the registry's API.

Spec: distribution-spec 1.1 "Listing Referrers" (end-12a).
"""

from __future__ import annotations

from imgsync.errors import UnexpectedResponseError, UnsupportedContentError
from imgsync.oci.auth.scopes import make_scopes
from imgsync.oci.link_header import find_next_page
from imgsync.oci.messages import RegistryRequest, RegistryResponse
from imgsync.oci.registry import RegistryClient
from imgsync.oci.spec.descriptor import Descriptor
from imgsync.oci.spec.manifest import MANIFEST_LIMIT, Manifest, parse_manifest
from imgsync.oci.spec.media_types import OCI_INDEX, read_manifest_type
from imgsync.oci.spec.reference import Repository

# Registries without the referrers API respond with any of these (GHCR with 303: Azure/acr#891). 401 and 403 may concern one repository only.
_MAYBE_NO_REFERRERS = {401, 403}
_NO_REFERRERS = {303, 400, 404, 405, 406, 410, 501}
_LIMIT = 1000


def list_referrers(client: RegistryClient, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
    """
    Return the referrers of *digest*, None without that API.

    Raises:
        RegistryError: The registry fails, or there are more than 1000 referrers.
    """
    with client.capabilities.probe_referrers():
        return _list_referrers(client, repository, digest)


def _list_referrers(client: RegistryClient, repository: Repository, digest: str) -> tuple[Descriptor, ...] | None:
    if client.capabilities.has_referrers is False:
        return None
    operation = client.make_operation("list referrers of", repository.with_digest(digest))
    found: list[Descriptor] = []
    target: str | None = f"/v2/{repository.path}/referrers/{digest}"
    while target is not None:
        accept_statuses = {200} | _NO_REFERRERS | _MAYBE_NO_REFERRERS if not found else {200}
        scopes, headers = make_scopes(repository.path, "pull"), {"Accept": OCI_INDEX}
        response = client.send(RegistryRequest(operation, "GET", target, scopes, frozenset(accept_statuses), headers, limit_bytes=MANIFEST_LIMIT))
        page = _read_page(response)
        if page is None:
            if client.capabilities.has_referrers is None and response.status not in _MAYBE_NO_REFERRERS:
                client.capabilities.learn_referrers(supported=False)
            return None
        client.capabilities.learn_referrers(supported=True)
        found += page.children
        target = find_next_page(response, operation, client.transport.endpoint)
        if len(found) > _LIMIT or (target is not None and not found):
            raise operation.make_error(UnexpectedResponseError, f"there are more than {_LIMIT} referrers, or the list never ends")
    return tuple(found)


def _read_page(response: RegistryResponse) -> Manifest | None:
    """
    Return the index in *response*, None if it is none.

    Raises:
        UnsupportedContentError: It claims to be an index, but is not valid.
    """
    served_as = read_manifest_type(response.media_type or "")
    if response.status != 200 or served_as not in {OCI_INDEX, ""}:
        return None
    try:
        page = parse_manifest(response.body, content_type=served_as)
    except UnsupportedContentError:
        # A page without a type may come from a server that does not know this API.
        if served_as:
            raise
        return None
    return page if page.media_type == OCI_INDEX else None
