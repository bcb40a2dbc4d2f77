"""The log and annotations as a CI runner shows them."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from imgsync.cli.output import get_redaction, write_note
from imgsync.logs.ci_group import ANNOTATIONS, GITHUB, LOG, GroupedStream, find_markers
from imgsync.logs.stream import Stream
from imgsync.text.redaction import Redaction

if TYPE_CHECKING:
    from imgsync.render.annotations import Annotation

# Planning errors, refusals and gone tags are rows of the plan's table. Failed images are logged as they happen, long before the table of results.
_ROWS = frozenset({"plan.failed", "image.refused", "tag.gone", "tag.returned"})


class CILog:
    """The log's stream, folded on the page of a CI job."""

    def __init__(self, stream: Stream, *, log_format: str) -> None:
        """
        Fold the log unless *log_format* names a format.

        A named format is for a program, or for a person who reads the log.
        """
        markers = find_markers(os.environ) if log_format == "auto" and not sys.stderr.isatty() and not _is_file(sys.stderr.fileno) else None
        self._group = None if markers is None else GroupedStream(stream, markers, LOG)
        self._stream = stream
        self._annotates = log_format != "json" and _is_github()

    @property
    def stream(self) -> Stream:
        """The stream to write log lines to."""
        return self._group or self._stream

    def end_group(self) -> None:
        """End the group before a result is printed."""
        if self._group is not None:
            self._group.end_group()

    def annotate(self, make: Callable[[], Sequence[Annotation]]) -> None:
        """Write what *make* returns as annotations, on GitHub."""
        if self._annotates and (found := make()):
            from imgsync.render.annotations import render_annotations

            # In a group: the page shows the text of an annotation too, and the table says the same.
            group = self._group or GroupedStream(self._stream, GITHUB, ANNOTATIONS)
            group.write("".join(f"{get_redaction().clean(line)}\n" for line in render_annotations(found)))
            group.end_group()


def write_annotations(found: Sequence[Annotation], redaction: Redaction, *, level: str = "error") -> None:
    """Write annotations to stderr, on GitHub."""
    if found and _is_github():
        from imgsync.render.annotations import render_annotations

        write_note("\n".join([GITHUB.begin(ANNOTATIONS, 0).rstrip(), *render_annotations(found, level=level), GITHUB.end(0).rstrip()]), redaction)


def list_shown_events() -> frozenset[str]:
    """Return the events that the table on stdout shows too."""
    is_table = click.get_current_context().params.get("output") == "table"
    return _ROWS if is_table and sys.stdout.isatty() == sys.stderr.isatty() else frozenset()


def _is_github() -> bool:
    return find_markers(os.environ) is GITHUB


def _is_file(find_descriptor: Callable[[], int]) -> bool:
    """Return whether a stream is a file, which no runner reads."""
    with contextlib.suppress(OSError, ValueError):
        return stat.S_ISREG(os.fstat(find_descriptor()).st_mode)
    return False
