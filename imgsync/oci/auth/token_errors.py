"""Build the error for a token server's refusal, with its own words."""

from __future__ import annotations

from urllib.parse import urlsplit

from imgsync.errors import AccessDeniedError, AuthenticationError, RegistryError, RejectedError
from imgsync.oci.error_body import read_error_body
from imgsync.oci.errors import Operation

# RFC 6749 5.2: the credentials are refused with status 400.
_LOGIN_CODES = {"INVALID_GRANT", "INVALID_CLIENT", "UNAUTHORIZED_CLIENT"}
_RIGHT_CODES = {"INVALID_SCOPE", "ACCESS_DENIED", "INSUFFICIENT_SCOPE"}


def make_token_error(operation: Operation, realm: str, status: int, body: bytes) -> RegistryError:
    """
    Return the error for a response of the token server at *realm*.

    An `AuthenticationError` means that it refuses the login, an `AccessDeniedError` that the login lacks a right.
    """
    said = read_error_body(body)
    server = urlsplit(realm).hostname
    detail = f"{server} answered {status}{': ' if said.detail else ''}{said.detail}"
    if status == 401 or (status == 400 and said.code in _LOGIN_CODES):
        return operation.make_error(AuthenticationError, detail, status=status, code=said.code)
    if status == 403 or (status == 400 and said.code in _RIGHT_CODES):
        return operation.make_error(AccessDeniedError, detail, status=status, code=said.code)
    hint = f"{server} does not answer as a token server; the registry names it, so check the registry's name and its settings there"
    return operation.make_error(RejectedError, detail, status=status, code=said.code, hint=hint)
