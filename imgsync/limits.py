"""What bounds one run as a whole."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds a run: seconds since it *began*, planning included (None: the mirrors' own), of grace after a stop; end at the first failure."""

    began: float
    run_seconds: float | None = None
    grace_seconds: float = 5.0
    fail_fast: bool = False

    @property
    def elapsed_seconds(self) -> float:
        """Return for how long the run goes on already."""
        return time.monotonic() - self.began
