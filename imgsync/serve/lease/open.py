"""Make the keeper of a lease for this pod."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping

from imgsync.logs.logger import Logger
from imgsync.serve.lease.account import check_lease_name, find_service_account
from imgsync.serve.lease.alarm import Alarm
from imgsync.serve.lease.api import LeaseApi
from imgsync.serve.lease.keeper import LeaseKeeper
from imgsync.serve.lease.timing import LeaseTiming
from imgsync.text.units import parse_integer

DEFAULT_NAME = "imgsync"
# For tests of imgsync: they cannot wait half a minute, and are no pod.
_SECONDS_VARIABLE, _FOLDER_VARIABLE = "IMGSYNC_LEASE_SECONDS", "IMGSYNC_LEASE_ACCOUNT"


def open_lease(name: str, *, environ: Mapping[str, str], log: Logger) -> LeaseKeeper:
    """
    Return the keeper of *name* in the namespace of this pod.

    Raises:
        UsageError: This is not a pod, or *name* cannot be a name.
    """
    folder = environ.get(_FOLDER_VARIABLE)
    account = find_service_account(environ, folder=folder) if folder else find_service_account(environ)
    timing = LeaseTiming(parse_integer(environ.get(_SECONDS_VARIABLE, "")) or LeaseTiming().duration_seconds)
    api = LeaseApi(account, check_lease_name(name), timeout_seconds=timing.request_seconds)
    return LeaseKeeper(api, identity=_make_identity(environ), log=log, timing=timing, set_alarm=Alarm().set)


def _make_identity(environ: Mapping[str, str]) -> str:
    """Return the name of this pod with a random part."""
    # A container that is started again has the same name, and its predecessor may still be writing.
    name = environ.get("POD_NAME") or socket.gethostname()
    return f"{name[:200]}_{secrets.token_hex(8)}"
