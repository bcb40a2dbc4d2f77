"""Build the error for a refused request."""

from __future__ import annotations

import contextlib

from imgsync.errors import AccessDeniedError, AuthenticationError, ImgsyncError, RateLimitedError, RegistryError, UnreachableError
from imgsync.oci.auth.authenticator import Authenticator
from imgsync.oci.auth.challenge import parse_challenges
from imgsync.oci.auth.explain import lacks_scope
from imgsync.oci.error_body import is_web_page
from imgsync.oci.errors import make_status_error
from imgsync.oci.http._httpx import httpx
from imgsync.oci.http.url import origin_of
from imgsync.oci.limits.pull_limit import PullLimit
from imgsync.oci.messages import DEFAULT_LIMIT_BYTES, RegistryRequest
from imgsync.oci.responses import read_body, read_headers

_PULL_LIMIT = "pull rate limit"
_REDIRECT_REFUSED = {400, 401, 403}


def make_refusal(
    request: RegistryRequest, response: httpx.Response, url: str, *, is_own: bool, authenticator: Authenticator, pull_limit: PullLimit
) -> ImgsyncError:
    """Return the error for *response*, which *url* sent."""
    redirected = "" if is_own else f"{origin_of(url)[1]}, to which the registry redirected, refused the request"
    if redirected and response.status_code in _REDIRECT_REFUSED and "/blobs/" in request.target:
        # Signed URLs expire; the registry issues a new one for the next request.
        return request.operation.make_error(UnreachableError, redirected, status=response.status_code, hint="the redirect's URL may have expired")
    body = b""
    with contextlib.suppress(RegistryError):
        body = read_body(response, DEFAULT_LIMIT_BYTES, operation=request.operation, truncate=True)
    error = make_status_error(request.operation, response.status_code, headers=read_headers(response), body=authenticator.redact(body))
    if request.counts_as_pull and isinstance(error, RateLimitedError) and _PULL_LIMIT in error.detail:
        # Docker Hub's pull limit lasts for hours, its request limit for seconds; both are 429.
        return pull_limit.exhaust()
    if redirected and isinstance(error, AuthenticationError | AccessDeniedError):
        error.hint = f"{redirected}; no credentials were sent there"
    elif isinstance(error, AuthenticationError) or (isinstance(error, AccessDeniedError) and not is_web_page(body)):
        is_anonymous = request.auth_headers is not None and not request.auth_headers
        challenges = parse_challenges(response.headers.get_list("www-authenticate")) if request.auth_headers is None else ()
        return authenticator.explain(error, request.scopes, lacks_scope=lacks_scope(challenges), is_anonymous=is_anonymous)
    return error
