"""The documents of the API: imgsync.status/v1, imgsync.mirrors/v1 and imgsync.runs/v1."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import imgsync
from imgsync.documents.envelope import encode_errors
from imgsync.documents.json_stream import Rows
from imgsync.errors import FileError
from imgsync.serve.board import Board
from imgsync.serve.views import MirrorState, MirrorTags, MirrorView, RunningView, RunSummary, TagState, TagView
from imgsync.text.units import format_timestamp

STATUS_FORMAT = "imgsync.status/v1"
MIRRORS_FORMAT = "imgsync.mirrors/v1"
RUNS_FORMAT = "imgsync.runs/v1"


def encode_status(board: Board, now: datetime) -> dict[str, Any]:
    """Return how everything stands."""
    mirrors, configuration = board.list_mirrors(), board.configuration
    lease = board.lease
    return {
        "format": STATUS_FORMAT,
        "imgsync": imgsync.__version__,
        "now": format_timestamp(now),
        "started_at": format_timestamp(board.started_at),
        "only_plans": board.only_plans,
        "mirrors": {state.value: sum(mirror.state is state for mirror in mirrors) for state in MirrorState},
        "tags": {state.value: sum(mirror.counts.get(state, 0) for mirror in mirrors) for state in TagState},
        "next_run": _format(min((mirror.next_run for mirror in mirrors if mirror.next_run is not None), default=None)),
        "running": None if board.running is None else _encode_running(board.running),
        "waiting": board.waiting,
        "configuration": {
            "origin": configuration.origin,
            "revision": configuration.revision or None,
            "loaded_at": _format(configuration.loaded_at),
            "checked_at": _format(configuration.checked_at),
            "fault": configuration.fault or None,
            "failed_revision": configuration.failed_revision or None,
            "errors": [_encode_file_error(error) for error in configuration.errors],
            "warnings": [_encode_file_error(error) for error in configuration.warnings],
        },
        "problems": list(board.problems),
        "events": {
            name: {
                "accepted": counts.accepted,
                "irrelevant": counts.irrelevant,
                "repeated": counts.repeated,
                "refused": dict(counts.refused),
                "last_at": _format(counts.last_at),
            }
            for name, counts in sorted(board.events.items())
        },
        "lease": None
        if lease is None
        else {"name": lease.name, "held": lease.is_held, "holder": lease.holder or None, "since": _format(lease.since), "fault": lease.fault or None},
    }


def encode_mirrors(mirrors: Sequence[MirrorView]) -> dict[str, Any]:
    """Return every mirror, without its tags."""
    return {"format": MIRRORS_FORMAT, "mirrors": Rows(lambda: map(_encode_mirror, mirrors))}


def encode_mirror(mirror: MirrorView, tags: MirrorTags | None, is_shown: Callable[[TagView], bool]) -> dict[str, Any]:
    """Return one mirror, and its tags that are shown."""

    def iter_tags() -> Iterator[dict[str, Any]]:
        for tag in tags or ():
            if is_shown(tag):
                yield _encode_tag(tag)

    return {"format": MIRRORS_FORMAT, "mirrors": [_encode_mirror(mirror)], "tags": Rows(iter_tags)}


def encode_runs(runs: Sequence[RunSummary]) -> dict[str, Any]:
    """Return the runs of the history, newest first."""
    return {"format": RUNS_FORMAT, "runs": Rows(lambda: map(_encode_run, runs))}


def _encode_mirror(mirror: MirrorView) -> dict[str, Any]:
    return {
        "name": mirror.name,
        "state": mirror.state.value,
        "description": mirror.description,
        "source": mirror.source,
        "destinations": list(mirror.destinations),
        "file": mirror.file,
        "line": mirror.line,
        "schedule": mirror.schedule,
        "counts": {state.value: mirror.counts.get(state, 0) for state in TagState},
        "errors": encode_errors(mirror.errors),
        "notes": list(mirror.notes),
        "checked_at": _format(mirror.checked_at),
        "last_success": _format(mirror.last_success),
        "next_run": _format(mirror.next_run),
        "failures": mirror.failures,
        "last_run": mirror.last_run or None,
    }


def _encode_tag(tag: TagView) -> dict[str, Any]:
    return {
        "source": tag.source,
        "destination": tag.destination,
        "state": tag.state.value,
        "digest": tag.digest or None,
        "reason": tag.reason or None,
        "hint": tag.hint or None,
        "since": tag.since or None,
    }


def _encode_run(run: RunSummary) -> dict[str, Any]:
    return {
        "id": run.id,
        "trigger": run.trigger.value,
        "mirrors": list(run.mirrors),
        "applies": run.applies,
        "partial": run.is_partial,
        "began_at": format_timestamp(run.began_at, milliseconds=True),
        "ended_at": format_timestamp(run.ended_at, milliseconds=True),
        "seconds": round((run.ended_at - run.began_at).total_seconds(), 3),
        "summary": {**run.counts, "bytes_copied": run.bytes_copied},
        "exit_code": run.exit_code,
        "error": run.error or None,
        "hint": run.hint or None,
        "stopped": run.stopped or None,
    }


def _encode_running(running: RunningView) -> dict[str, Any]:
    order, counts = running.order, running.counts
    return {
        "id": order.id,
        "trigger": order.trigger.value,
        "mirrors": list(order.mirrors),
        "applies": order.applies,
        "partial": bool(order.only),
        "began_at": format_timestamp(running.began_at),
        "tags": counts.tags,
        "tags_looked_up": counts.tags_looked_up,
        "images_total": counts.images_total,
        "images_done": counts.images_done,
        "bytes_total": counts.bytes_total,
        "bytes_copied": counts.bytes_copied,
    }


def _encode_file_error(error: FileError) -> dict[str, Any]:
    return {
        "file": error.file,
        "line": error.line or None,
        "column": error.column or None,
        "path": error.path or None,
        "message": error.message,
        "hint": error.hint or None,
    }


def _format(moment: datetime | None) -> str | None:
    return None if moment is None else format_timestamp(moment)
