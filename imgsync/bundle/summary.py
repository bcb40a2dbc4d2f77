"""What one run of `bundle create` came to."""

from __future__ import annotations

from collections.abc import Sequence

from imgsync.bundle.model import Bundle
from imgsync.oci.spec.reference import Reference
from imgsync.system.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class BundleSummary:
    """
    What one run of `bundle create` came to.

    `bundle` is None if none was written. `left_out` are images that it should have, and why it has not. `signing_command` signs it. `only_volume` is
    the volume that was made again, if only one was. `has_errors` says that something could not be planned.
    """

    folder: str
    bundle: Bundle | None
    left_out: Sequence[tuple[Reference, str]]
    plan_id: str
    bytes_read: int
    seconds: float
    signing_command: str = ""
    stopped: str = ""
    notes: Sequence[str] = ()
    only_volume: int | None = None
    has_errors: bool = False
