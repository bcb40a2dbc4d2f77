"""The runs that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from imgsync.serve.views import RunSummary


class History:
    """Keeps the newest runs."""

    def __init__(self) -> None:
        """Begin empty."""
        self._runs: list[RunSummary] = []

    def list_runs(self) -> Sequence[RunSummary]:
        """Return the runs, newest first."""
        return tuple(reversed(self._runs))

    def read_run(self, run: str) -> Mapping[str, object] | None:  # noqa: ARG002
        """Return the document of a run, None if it is not kept."""
        return None

    def add(self, run: RunSummary) -> None:
        """Add a run."""
        self._runs.append(run)

    def find_last_runs(self) -> Mapping[str, datetime]:
        """Return when each mirror was applied last as a whole."""
        return {name: run.began_at for run in self._runs if run.applies and not run.is_partial for name in run.mirrors}
