"""
Explain a refusal: wrong login, missing right, or no login.

Each needs another remedy.
"""

from __future__ import annotations

from imgsync.errors import CredentialsError, RegistryError
from imgsync.oci.auth.challenge import Challenge
from imgsync.oci.endpoint import Endpoint

_EXPIRED = "expired"


def explain_refusal(
    error: RegistryError, endpoint: Endpoint, path: str, *, is_accepted: bool, is_anonymous: bool = False, is_unasked: bool = False
) -> RegistryError:
    """
    Set the hint of *error* about the repository at *path*.

    Args:
        error: A 401 or 403.
        endpoint: Where the request was sent.
        path: The repository, "" for the registry itself.
        is_accepted: Whether the login is known to be good.
        is_anonymous: Whether the request had no login, although there may be one.
        is_unasked: Whether the registry has not asked for Basic or Bearer, so that no login was sent.
    """
    try:
        found = endpoint.credentials.find(path)
    except CredentialsError as failure:
        error.hint = f"{failure.message}; {failure.hint}" if failure.hint else failure.message
        return error
    registry = endpoint.registry
    if found is None:
        error.hint = f"no credentials for {registry} were found (looked in {', '.join(endpoint.credentials.places) or 'nothing'})"
        if error.status == 403:
            error.hint += "; it does not allow this without a login"
        error.hint += "; log in, or set `credentials` for it in registries.yaml"
    elif is_anonymous:
        error.hint = f"the request was anonymous: this API does not take the credentials for {registry} from {found.found_in}"
    elif is_unasked:
        error.hint = f"the credentials for {registry} from {found.found_in} were not sent, because the registry did not ask for Basic or Bearer authentication"
    elif _EXPIRED in error.detail.lower():
        error.hint = f"the credentials for {registry} from {found.found_in} were refused; they have expired, log in again"
    elif is_accepted:
        error.hint = (
            f"the login for {registry} from {found.found_in} is accepted but does not allow this; check the permissions of the account on this repository"
        )
    else:
        error.hint = f"the credentials for {registry} from {found.found_in} were refused; check username and password"
    return error


def lacks_scope(challenges: tuple[Challenge, ...]) -> bool:
    """
    Return whether a 401 says that the login is good.

    Spec: RFC 6750 3.1.
    """
    return any(one.parameters.get("error") == "insufficient_scope" for one in challenges)
