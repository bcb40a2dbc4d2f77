"""Record what the next run needs to know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from imgsync.apply.report import Report, Result
from imgsync.config.model import Config
from imgsync.errors import StateError
from imgsync.logs.logger import Logger
from imgsync.plan.mirror_part import find_part
from imgsync.plan.model import Action
from imgsync.state import StateStore
from imgsync.text.units import format_timestamp, parse_timestamp

_UNSUCCESSFUL = {Result.FAILED, Result.REFUSED, Result.REMAINING}


def record_end(report: Report, config: Config, state: StateStore, *, requeues: int, log: Logger) -> None:
    """Record what is left, the successes and the requeues."""
    left = list_left(report, state.remaining, sees_all=config.is_complete)
    try:
        state.record_run_end(
            remaining=left,
            successes=list_successes(report, config),
            requeues=requeues,
            moment=format_timestamp(datetime.now(UTC)),
            covers_all=(config.is_complete or _have_all_others_succeeded(config, state)) and not report.errors,
        )
    except StateError as error:
        log.warning("state.degraded", reason=error.message)


def _have_all_others_succeeded(config: Config, state: StateStore) -> bool:
    """Return whether the other mirrors succeeded since a run was interrupted."""
    began = parse_timestamp(state.interrupted_at)
    if began is None or not config.others:
        return False
    moments = (parse_timestamp(state.last_successes.get(mirror.name, "")) for mirror in config.others)
    return all(moment is not None and moment > began for moment in moments)


def list_left(report: Report, before: Sequence[str], *, sees_all: bool) -> list[str]:
    """
    Return the destinations left for the next run, longest waiting first.

    *before* are those that the last run left, in order. What this run did not cover stays left: because the plan has errors, or
    because not *sees_all*, as with `--only`.
    """
    # Deletions keep no place in the order: each run finds them again, and deletes last.
    left = [str(outcome.change.destination) for outcome in report.select(Result.REMAINING) if outcome.change.action is not Action.DELETE]
    if report.errors or not sees_all:
        missing = dict.fromkeys(before)
        for outcome in report.iter_outcomes() if missing else ():
            missing.pop(str(outcome.change.destination), None)
        left += missing
    place = {destination: number for number, destination in enumerate(before)}
    return sorted(left, key=lambda destination: place.get(destination, len(place)))


def list_successes(report: Report, config: Config) -> list[str]:
    """Return the mirrors that are as declared."""
    unsuccessful = {mirror for mirror, result in report.sums if result in _UNSUCCESSFUL}
    unsuccessful.update(error.mirror for error in report.errors)
    # Of a mirror of which only a part was applied, the rest may not be as declared.
    whole = [mirror for mirror in config.mirrors if find_part(mirror, config.only, config.within) is None]
    return [mirror.name for mirror in whole if not mirror.suspend and mirror.name not in unsuccessful]
