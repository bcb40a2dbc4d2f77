"""Read `Link: <…>; rel="next"`. Spec: distribution-spec 1.1 "Listing Tags"; RFC 8288."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from imgsync.errors import InsecureError
from imgsync.oci.errors import Operation
from imgsync.oci.messages import RegistryResponse
from imgsync.oci.responses import resolve_url


def find_next_link(response: RegistryResponse, operation: Operation) -> str | None:
    """
    Return the next page's URL on any host, None after the last.

    Raises:
        UnexpectedResponseError: The link is not a valid URL.
    """
    for part in response.headers.get("link", "").split(","):
        target, _, parameters = part.strip().partition(";")
        if 'rel="next"' in parameters.replace(" ", "") or "rel=next" in parameters:
            return resolve_url(quote(target.strip().strip("<>"), safe=":/?#[]@!$&'()*+,;=%~"), base=response.url, operation=operation)
    return None


def find_next_page(response: RegistryResponse, operation: Operation) -> str | None:
    """
    Return the next page's URL on the same origin, or None.

    Raises:
        InsecureError: The link leads to another origin.
    """
    url = find_next_link(response, operation)
    if url is not None and urlsplit(url)[:2] != urlsplit(response.url)[:2]:
        raise operation.make_error(InsecureError, "the listing's next page is on another host", hint="nothing was sent there")
    return url
