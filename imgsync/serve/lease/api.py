"""
Read and write one Lease at the API server.

httpx is a plain client here: it reads no environment, and follows no redirect, since the token would go along.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from imgsync import __version__
from imgsync.errors import ImgsyncError
from imgsync.oci.http._httpx import httpx, import_clients
from imgsync.serve.lease.account import ServiceAccount
from imgsync.serve.lease.record import LeaseRecord, parse_lease
from imgsync.text.sanitize import sanitize_message

import_clients()

_RESPONSE_LIMIT_BYTES = 1 << 20
_WHOLE_FACTOR = 2
_HEADERS = {"User-Agent": f"imgsync/{__version__}", "Accept": "application/json", "Accept-Encoding": "identity"}
_RULE = "{apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, create, update]}"


class LeaseApiError(ImgsyncError):
    """The API server did not answer as it should; `status` is HTTP's."""

    remedy = "no replica that cannot renew the lease writes; check the API server and the network policies between"

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class LeaseConflictError(LeaseApiError):
    """Another one changed the Lease first."""


class LeaseApi:
    """Reads, creates and replaces the Lease *name*, one request at a time."""

    def __init__(self, account: ServiceAccount, name: str, *, timeout_seconds: float) -> None:
        """
        Connect later.

        A request waits *timeout_seconds* for a byte; its response may take twice that.
        """
        self.name = name
        self.namespace = account.namespace
        self._account = account
        self._timeout_seconds = timeout_seconds
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{account.namespace}/leases"
        self._client: httpx.Client | None = None
        self._authority = b""

    def read(self) -> LeaseRecord | None:
        """
        Return the Lease, None if there is none.

        Raises:
            LeaseApiError: The API server cannot be asked, or refuses.
        """
        return self._ask("GET", f"{self._folder}/{self.name}", None, missing_is_fine=True)

    def create(self, whole: bytes) -> LeaseRecord:
        """
        Create the Lease *whole*.

        Raises:
            LeaseConflictError: Another one did.
            LeaseApiError: The API server cannot be asked, or refuses.
        """
        return self._require(self._ask("POST", self._folder, whole))

    def replace(self, whole: bytes) -> LeaseRecord:
        """
        Replace the version of the Lease from which *whole* was made.

        Raises:
            LeaseConflictError: It has changed since.
            LeaseApiError: The API server cannot be asked, or refuses.
        """
        return self._require(self._ask("PUT", f"{self._folder}/{self.name}", whole))

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _require(self, record: LeaseRecord | None) -> LeaseRecord:
        if record is None:
            raise LeaseConflictError(f"the lease {self.name} is gone")
        return record

    def _ask(self, method: str, path: str, body: bytes | None, *, missing_is_fine: bool = False) -> LeaseRecord | None:
        with self._explain_errors(method):
            token = self._account.read_token()
            client = self._connect()
            headers = {**_HEADERS, "Authorization": f"Bearer {token}"} | ({"Content-Type": "application/json"} if body is not None else {})
            ends = time.monotonic() + _WHOLE_FACTOR * self._timeout_seconds
            with client.stream(method, f"{self._account.server}{path}", headers=headers, content=body) as response:
                data = _read_within(response, ends)
        status = response.status_code
        if status in {200, 201}:
            try:
                return parse_lease(data)
            except ValueError as error:
                raise LeaseApiError(f"{self._describe(method)}: the API server answered with something else: {error}", status=status) from error
        if status == 404 and missing_is_fine and _is_status(data):
            return None
        raise self._refuse(method, status, data, token)

    def _connect(self) -> httpx.Client:
        """Return the client, a new one if the certificates have changed."""
        authority = self._account.read_authority()
        if self._client is None or authority != self._authority:
            self.close()
            context = self._account.make_tls_context()
            self._client = httpx.Client(verify=context, trust_env=False, timeout=self._timeout_seconds, follow_redirects=False)
            self._authority = authority
        return self._client

    @contextmanager
    def _explain_errors(self, method: str) -> Iterator[None]:
        try:
            yield
        except httpx.HTTPError as error:
            self.close()
            detail = "no answer in time" if isinstance(error, httpx.TimeoutException) else sanitize_message(str(error)) or "no answer"
            raise LeaseApiError(f"{self._describe(method)}: {self._account.server}: {detail}") from error
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            hint = "the pod needs a service account whose token is mounted"
            raise LeaseApiError(f"{self._describe(method)}: the service account cannot be used: {reason}", hint=hint) from error
        except ValueError as error:
            raise LeaseApiError(f"{self._describe(method)}: the service account cannot be used: {error}") from error

    def _refuse(self, method: str, status: int, data: bytes, token: str) -> LeaseApiError:
        detail = _read_message(data).replace(token, "***")
        message = f"{self._describe(method)}: {status} {detail}".rstrip()
        if status == 409 or (status == 404 and method == "PUT"):
            return LeaseConflictError(message, status=status)
        if status == 403:
            hint = f"allow it to the service account of this pod, by a Role in the namespace {self.namespace}: rules: [{_RULE}]"
            return LeaseApiError(message, hint=hint, status=status)
        if status == 401:
            return LeaseApiError(message, hint="the API server does not accept the token of the service account", status=status)
        return LeaseApiError(message, status=status)

    def _describe(self, method: str) -> str:
        verb = {"GET": "get", "POST": "create", "PUT": "update"}[method]
        return f"{verb} the lease {self.namespace}/{self.name}"


def _read_within(response: httpx.Response, ends: float) -> bytes:
    """Return the body of *response*, within its limits."""
    pieces, size = [], 0
    for piece in response.iter_raw():
        pieces.append(piece)
        size += len(piece)
        if size > _RESPONSE_LIMIT_BYTES:
            raise httpx.ReadError("the answer is too large")
        if time.monotonic() > ends:
            raise httpx.ReadTimeout("the answer takes too long")
    return b"".join(pieces)


def _read_status(data: bytes) -> dict[str, object]:
    """Return the object Status in *data*, empty if there is none."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return whole if isinstance(whole, dict) and whole.get("kind") == "Status" else {}


def _is_status(data: bytes) -> bool:
    # A proxy that knows nothing of the API server answers 404 too.
    return _read_status(data).get("reason") == "NotFound"


def _read_message(data: bytes) -> str:
    message = _read_status(data).get("message")
    return sanitize_message(message) if isinstance(message, str) else ""
