"""Decide which redirects of a registry are safe to follow."""

from __future__ import annotations

from imgsync.errors import InsecureError, UnexpectedResponseError
from imgsync.oci.http.url import has_credentials
from imgsync.oci.messages import RegistryRequest
from imgsync.oci.responses import resolve_url


def check_redirect(request: RegistryRequest, url: str, location: str) -> str:
    """
    Return the URL to follow.

    Raises:
        UnexpectedResponseError: The redirect is of a write.
        InsecureError: It leads from https to http, or contains credentials.
    """
    if request.method not in {"GET", "HEAD"}:
        raise request.operation.make_error(UnexpectedResponseError, "the registry redirects a write; only redirects of reads are followed")
    target = resolve_url(location, base=url, operation=request.operation)
    if has_credentials(target) or (target.startswith("http:") and url.startswith("https:")):
        raise request.operation.make_error(
            InsecureError, "the registry redirects to an unsafe URL", hint="redirects must stay on https and contain no credentials"
        )
    return target
