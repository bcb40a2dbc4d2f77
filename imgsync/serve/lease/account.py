"""How a pod reaches the API server of its cluster."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from imgsync.errors import UsageError
from imgsync.oci.http.tls import make_tls_context
from imgsync.system.dataclass import dataclass
from imgsync.text.units import parse_integer

_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_LIMIT_BYTES = 64 << 10
_TOKEN = re.compile(r"[\x21-\x7e]+")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HOST = re.compile(r"[0-9A-Za-z.:-]+")
_LARGEST_PORT = 65535
_IN_POD = "run it in a pod with a service account (automountServiceAccountToken: true), or with one replica and without --lease"


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """
    The service account of this pod.

    Its token changes while the pod runs, and the certificates may, so both are read again whenever they are needed.
    """

    server: str
    namespace: str
    folder: Path = field(repr=False)

    def read_token(self) -> str:
        """
        Return the token as it is now.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not a token.
        """
        with (self.folder / "token").open("rb") as file:
            token = file.read(_TOKEN_LIMIT_BYTES).decode().strip()
        if not _TOKEN.fullmatch(token):
            raise ValueError("the file has no token")
        return token

    def read_authority(self) -> bytes:
        """
        Return the certificates that sign the API server's.

        Raises:
            OSError: They cannot be read.
        """
        return (self.folder / "ca.crt").read_bytes()

    def make_tls_context(self) -> ssl.SSLContext:
        """
        Return a context that trusts the cluster's certificates alone.

        Raises:
            OSError: They cannot be read or used.
        """
        return make_tls_context(ca=str(self.folder / "ca.crt"))


def find_service_account(environ: Mapping[str, str], *, folder: str = _FOLDER) -> ServiceAccount:
    """
    Return the service account of this pod.

    Raises:
        UsageError: This is not a pod, or its pod has no service account.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not _HOST.fullmatch(host) or not 0 < (parse_integer(port) or 0) <= _LARGEST_PORT:
        raise UsageError("--lease kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT name no API server", hint=_IN_POD)
    try:
        namespace = (Path(folder) / "namespace").read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"--lease kubernetes: cannot read {folder}/namespace: {reason}", hint=_IN_POD) from error
    if not _NAME.fullmatch(namespace):
        raise UsageError(f"--lease kubernetes: {folder}/namespace has no name of a namespace", hint=_IN_POD)
    return ServiceAccount(f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}", namespace, Path(folder))


def check_lease_name(name: str) -> str:
    """
    Return *name* if a Lease can have it.

    Raises:
        UsageError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"--lease-name {name!r} is not a name of Kubernetes", hint="use up to 63 lower-case letters, digits and dashes, such as imgsync")
    return name
