"""Run one shard of a saved plan, and write its outcome."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime

import click

import imgsync
from imgsync.apply.collector import Collector
from imgsync.apply.copy_shared import list_blob_errors, sum_shared
from imgsync.apply.report import Report, Result
from imgsync.apply.shard_outcome import ShardOutcome
from imgsync.apply.shard_part import ShardPart, list_shared
from imgsync.cli.apply_run import run_apply
from imgsync.cli.options import ApplyOptions, CommonOptions
from imgsync.cli.output import get_redaction
from imgsync.cli.results import check_writable, write_file
from imgsync.cli.session import CANCELLED_EXIT, STOPPED_EXIT, Session, open_session
from imgsync.config.layout_names import refuse_layouts
from imgsync.config.model import Config
from imgsync.documents.json_stream import to_json
from imgsync.documents.outcome import encode_shard_outcome
from imgsync.errors import UsageError
from imgsync.partition.shard import Shard, parse_shard
from imgsync.plan.model import Action, Plan
from imgsync.plan.safety import SafetyLimits
from imgsync.plan.saved import check_declared
from imgsync.plan.shards import Partition
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_timestamp

_FORMS = "--shard takes I/N with I from 1 to N, `auto` in a CI job that has a number, or `shared`"
_NO_END = "the shard was killed before it ended"


@dataclass(frozen=True, slots=True)
class ShardOptions:
    """The options of a shard, apart from those of `apply`."""

    shard: str
    outcome: str
    wait_seconds: float


def run_shard(saved: Plan, config: Config, apply: ApplyOptions, common: CommonOptions, *, shard: ShardOptions) -> int:
    """
    Apply one shard of *saved*, and return the exit code.

    The state is read and not written: `imgsync combine` writes what the outcome says.

    Raises:
        UnsafePlanError: The whole plan exceeds `--max-changes` or `--max-bytes`.
        UsageError: There is no such shard, or the plan cannot be divided.
    """
    which = _parse(shard.shard)
    check_writable(shard.outcome, *apply.files)
    if saved.content is None:
        raise UsageError("the plan does not say what its images consist of, so it cannot be divided", hint="make it again: imgsync plan --out FILE")
    # Of all changes: the homes of shared blobs are in repositories of other shards.
    check_declared(saved.changes, config)
    refuse_layouts(config, "--shard")
    SafetyLimits(apply.max_changes, apply.max_bytes).raise_if_unsafe(saved)
    partition = Partition(saved, which.count)
    with open_session(config.registries, common, read_only=True, pushes=True, grace_seconds=apply.grace_seconds) as session:
        run = ShardRun(session, saved, partition, which, shard)
        # A shard that is killed leaves this. Nor may the outcome of an earlier run be taken for this one's.
        run.write_unfinished(_NO_END, STOPPED_EXIT)
        session.before_exit.append(lambda: run.write_unfinished("interrupted again", CANCELLED_EXIT))
        return run_apply(session, config, apply, saved=partition.select(which), shard=run)


def _parse(text: str) -> Shard:
    try:
        return parse_shard(text, os.environ)
    except ValueError as error:
        raise UsageError(str(error), hint=_FORMS) from error


class ShardRun:
    """One run of a shard: what it does, collects and writes."""

    def __init__(self, session: Session, saved: Plan, partition: Partition, shard: Shard, options: ShardOptions) -> None:
        """Prepare; nothing is read or written yet."""
        self._session = session
        self._saved = saved
        self._partition = partition
        self._shard = shard
        self._options = options
        self._collector = Collector()
        # click looks up the running command by greenlet, and a signal comes in another one.
        self._command = click.get_current_context()
        self.part = ShardPart(
            shard,
            blobs=partition.list_blobs(shard),
            shared=list_shared(partition, shard, wait_seconds=options.wait_seconds),
            filled=partition.filled,
            on_changes=self._collector.add_changes,
            on_blob=self._collector.add_blob,
        )

    def complete(self, report: Report) -> Report:
        """
        Return *report* with the shared blobs.

        The errors of the plan are left out: `combine` reports them.
        """
        of_plan = set(self._saved.errors)
        errors = tuple(error for error in report.errors if error not in of_plan)
        # An image that needs a blob which could not be copied says so itself.
        failed = list_blob_errors(self._collector.finished_blobs) if self._shard.is_shared else ()
        return replace(report, errors=(*errors, *failed), shared=sum_shared(self._collector.finished_blobs))

    def write(self, report: Report, *, exit_code: int) -> None:
        """
        Write the outcome.

        Raises:
            OutputError: It cannot be written.
        """
        kept = {change.destination for change in self._saved.changes if change.action is Action.KEEP}
        outcomes = tuple(one for one in report.outcomes if not (one.result is Result.KEPT and one.change.destination in kept))
        self._write(replace(report, outcomes=outcomes), exit_code=exit_code)

    def write_unfinished(self, reason: str, exit_code: int) -> None:
        """Write what is done so far; *reason* ended the run."""
        outcomes = tuple(sorted(self._collector.outcomes, key=lambda outcome: outcome.change.destination))
        with self._command.scope(cleanup=False):
            self._write(Report(self._saved.id, outcomes, stopped=reason, shared=sum_shared(self._collector.finished_blobs)), exit_code=exit_code)

    def _write(self, report: Report, *, exit_code: int) -> None:
        collector, registries = self._collector, self._session.registries
        done = ShardOutcome(
            plan_id=self._saved.id,
            partition=self._partition.fingerprint,
            shard=self._shard,
            version=imgsync.__version__,
            created_at=format_timestamp(datetime.now(UTC)),
            exit_code=exit_code,
            stopped=report.stopped,
            seconds=report.seconds,
            outcomes=tuple(report.outcomes),
            records=collector.records,
            shared=report.shared,
            blobs=collector.blobs,
            traffic=collector.list_traffic(registries.count_requests),
            throttled=self._session.throttles,
            errors=report.errors,
            notes=report.notes,
        )
        document = get_redaction().clean_values(encode_shard_outcome(done))
        write_file(self._options.outcome, f"{to_json(document, indented=True)}\n", private=True)
