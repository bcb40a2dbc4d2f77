"""`Link: <…>; rel="next"`: where a listing goes on. Spec: distribution-spec 1.1 "Listing Tags"; RFC 8288."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from imgsync.errors import InsecureError
from imgsync.oci.errors import Operation
from imgsync.oci.messages import Answer
from imgsync.oci.responses import led_to


def linked(answer: Answer, operation: Operation) -> str | None:
    """
    Return the URL that *answer* names as its next page, resolved against its own, wherever that is; None where there is none.

    Raises:
        UnexpectedResponseError: It names what is no URL.
    """
    for part in answer.headers.get("link", "").split(","):
        target, _, parameters = part.strip().partition(";")
        if 'rel="next"' in parameters.replace(" ", "") or "rel=next" in parameters:
            return led_to(quote(target.strip().strip("<>"), safe=":/?#[]@!$&'()*+,;=%~"), base=answer.url, operation=operation)
    return None


def next_page(answer: Answer, operation: Operation) -> str | None:
    """
    Return the URL of the page after *answer*, None after the last.

    Raises:
        InsecureError: It is on another origin than the one that answered.
    """
    url = linked(answer, operation)
    if url is not None and urlsplit(url)[:2] != urlsplit(answer.url)[:2]:
        raise operation.failed(InsecureError, "the next page of the listing is said to be on another host", hint="nothing was sent there")
    return url
