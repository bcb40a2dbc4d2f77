"""
Fold the log into a group of a CI runner's page.

GitHub's and GitLab's runners read both streams of a job. People see the tables on stdout; the log on stderr is one click away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from imgsync.logs.stream import Stream
from imgsync.system.dataclass import dataclass

LOG = "imgsync log (JSON lines)"
ANNOTATIONS = "imgsync annotations"


@dataclass(frozen=True, slots=True)
class Markers:
    """Lines that begin a group, by title and number, and end it."""

    begin: Callable[[str, int], str]
    end: Callable[[int], str]


GITHUB = Markers(lambda title, _: f"::group::{title}\n", lambda _: "::endgroup::\n")
# A section needs a name of its own; the escapes hide the marker on the page.
GITLAB = Markers(
    lambda title, number: f"\x1b[0Ksection_start:{int(time.time())}:imgsync_log_{number}[collapsed=true]\r\x1b[0K{title}\n",
    lambda number: f"\x1b[0Ksection_end:{int(time.time())}:imgsync_log_{number}\r\x1b[0K\n",
)


def find_markers(environ: Mapping[str, str]) -> Markers | None:
    """Return the markers of the CI runner that runs this process."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GITHUB
    return GITLAB if environ.get("GITLAB_CI") == "true" else None


class GroupedStream:
    """
    A log stream in groups.

    A group begins with the next line, and ends before a result is printed.
    """

    def __init__(self, stream: Stream, markers: Markers, title: str) -> None:
        """Write to *stream*."""
        self._stream = stream
        self._title = title
        self._markers = markers
        self._number = time.time_ns()
        self._is_open = False

    def write(self, text: str) -> int:
        """Write *text* within a group."""
        if not self._is_open:
            self._is_open = True
            self._number += 1
            self._stream.write(self._markers.begin(self._title, self._number))
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return False: no runner is a terminal."""
        return False

    def end_group(self) -> None:
        """End the group, if one has begun."""
        if self._is_open:
            self._is_open = False
            self._stream.write(self._markers.end(self._number))
