"""Run `bundle create`: plan, lay out, copy into volumes, print."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from imgsync.apply.options import RunOptions
from imgsync.apply.report import Outcome, Report, Result
from imgsync.apply.run import apply_config
from imgsync.apply.time_limits import TimeLimits
from imgsync.bundle.destination import BundleContents
from imgsync.bundle.holdings import Holdings
from imgsync.bundle.lay_out import LayoutOptions
from imgsync.bundle.model import Bundle
from imgsync.bundle.placement import check_volume_bytes
from imgsync.bundle.signature import format_signing_command
from imgsync.bundle.summary import BundleSummary
from imgsync.cli.apply_run import exit_code_of, log_end
from imgsync.cli.make_bundle import BundleMaker, list_left_out
from imgsync.cli.make_volume import VolumeMaker
from imgsync.cli.options import ApplyOptions, CommonOptions, LockUse
from imgsync.cli.other_side import FirstSeen, OtherSide, read_other_side
from imgsync.cli.output import print_json, print_text
from imgsync.cli.progress_display import PlanPrinter, open_display
from imgsync.cli.report_files import write_report_files
from imgsync.cli.results import check_writable
from imgsync.cli.session import Session, open_session
from imgsync.config.load import load_config
from imgsync.config.model import Config
from imgsync.documents.bundle_summary import encode_bundle_summary
from imgsync.errors import ImgsyncError
from imgsync.plan.context import PlanContext
from imgsync.plan.model import Plan, PlanError
from imgsync.plan.safety import SafetyLimits
from imgsync.progress.counts import Work
from imgsync.render.annotations import annotate_report
from imgsync.render.bundle_summary import render_bundle_summary
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_timestamp

if TYPE_CHECKING:
    from imgsync.lock.load_locks import Locks

# All manifests are read before the first blob is copied; those of a thousand images are pulled once.
_CACHE_BYTES = 16 << 20
_WHOLE = "The plan leaves out images that the other side has, but the bundle has all blobs of the others: give --have or --since as for the plan, too."


@dataclass(frozen=True, slots=True)
class CreateOptions:
    """The options of `bundle create`, apart from those of `apply`."""

    folder: Path
    have: tuple[str, ...] = ()
    since: tuple[str, ...] = ()
    plan_file: str | None = None
    layout: LayoutOptions = LayoutOptions()
    only_volume: int | None = None


def run_create(paths: Sequence[str], only: Sequence[str], options: CreateOptions, apply: ApplyOptions, common: CommonOptions, *, lock: LockUse) -> int:
    """
    Write a bundle; return the exit code.

    Raises:
        ConfigError: A file is invalid.
        OutputError: The bundle cannot be written.
        UnsafePlanError: The plan exceeds `--max-changes` or `--max-bytes`.
        UsageError: An option cannot be used, or the folder holds another bundle.
    """
    check_writable(*apply.files)
    check_volume_bytes(options.layout.volume_bytes)
    config = load_config(paths, registries=common.registries, environ=os.environ, only=only)
    saved, config = _read_saved(options, config)
    locks = lock.read(config) if saved is None and options.only_volume is None else None
    side = read_other_side(options.have, options.since, config) if options.only_volume is None else OtherSide(BundleContents(Holdings()))
    options = replace(options, layout=replace(options.layout, parent=side.parent, inventory=side.inventory))
    first_seen = FirstSeen(common, config)
    # The user's state says what `apply` pushed. Here, only the other side counts.
    with open_session(config.registries, replace(common, state=None), read_only=True, grace_seconds=apply.grace_seconds) as session:
        side.stand_in(session, first_seen)
        exit_code = _Creation(session, config, options, apply, side).run(saved, locks)
        first_seen.collect(session.state)
    first_seen.save()
    return exit_code


def _read_saved(options: CreateOptions, config: Config) -> tuple[Plan | None, Config]:
    if options.plan_file is None:
        return None, config
    from imgsync.cli.saved_plan import read_saved_plan

    return read_saved_plan(options.plan_file, config, for_bundle=True)


class _Creation:
    """One run of `bundle create`."""

    def __init__(self, session: Session, config: Config, options: CreateOptions, apply: ApplyOptions, side: OtherSide) -> None:
        self._session = session
        self._config = config
        self._options = options
        self._apply = apply
        self._side = side
        self._notes: tuple[str, ...] = ()

    def run(self, saved: Plan | None, locks: Locks | None) -> int:
        if saved is not None and saved.counts["keep"] and not (self._options.have or self._options.since):
            self._notes = (_WHOLE,)
        try:
            report, bundle = self._make(saved, locks)
        except ImgsyncError as error:
            # The files of an earlier run must not be taken for those of this one.
            self._write_files(_report_without_plan(self._config, error), error.exit_code)
            raise
        exit_code = _find_exit_code(report, bundle)
        log_end(self._session, report, exit_code=exit_code)
        self._write_files(report, exit_code)
        self._session.ci_log.annotate(lambda: annotate_report(report, self._config))
        self._session.ci_log.end_group()
        self._print(self._summarize(report, bundle))
        return exit_code

    def _make(self, saved: Plan | None, locks: Locks | None) -> tuple[Report, Bundle | None]:
        """Apply the plan into the bundle; complete it unless work is left."""
        session, apply = self._session, self._apply
        config = self._side.leave_out_deletions(self._config)
        with open_display(session, Work.APPLY, heartbeat_seconds=apply.heartbeat_seconds) as display:
            context = session.make_context(display.listener, refresh=False, cache_bytes=_CACHE_BYTES, locks=locks)
            with self._open_maker(config, context) as maker:
                if isinstance(maker, VolumeMaker):
                    saved = maker.make_plan(config)
                limits = SafetyLimits(apply.max_changes, apply.max_bytes)
                run_options = RunOptions(
                    time_limits=TimeLimits(session.began, run_seconds=session.common.run_seconds, grace_seconds=apply.grace_seconds),
                    safety_limits=limits,
                    fail_fast=apply.fail_fast,
                    approve=maker.prepare,
                )
                printer = PlanPrinter(display, config, session.ci_log, output=apply.output, limits=limits)
                listener = _PlanNoter(printer, self._side, self._config)
                report = apply_config(config, context, options=run_options, listener=listener, saved=saved)
                if self._side.contents.fault is not None:
                    raise self._side.contents.fault
                bundle = None if _is_unfinished(report) else maker.finish(report)
        return report, bundle

    @contextmanager
    def _open_maker(self, config: Config, context: PlanContext) -> Iterator[BundleMaker | VolumeMaker]:
        options = self._options
        maker: BundleMaker | VolumeMaker
        if options.only_volume is None:
            maker = BundleMaker(options.folder, self._side, options.layout, self._session, config, context)
        else:
            maker = VolumeMaker(options.folder, options.only_volume, self._side.contents, self._session.state)
        try:
            yield maker
        finally:
            maker.close()

    def _summarize(self, report: Report, bundle: Bundle | None) -> BundleSummary:
        unfinished = _is_unfinished(report)
        return BundleSummary(
            folder=str(self._options.folder),
            bundle=bundle,
            left_out=tuple((destination, reason) for destination, reason in list_left_out(report, bundle) if not unfinished),
            plan_id=report.plan_id,
            bytes_read=report.total("bytes_copied"),
            seconds=report.seconds,
            signing_command=format_signing_command(self._options.folder) if bundle is not None else "",
            stopped=(report.stopped or "an image failed") if unfinished else "",
            notes=(*report.notes, *self._notes, *self._side.ages),
            only_volume=self._options.only_volume,
            has_errors=bool(report.errors),
        )

    def _print(self, summary: BundleSummary) -> None:
        if self._apply.output == "json":
            print_json(encode_bundle_summary(summary))
        else:
            print_text(render_bundle_summary(summary))

    def _write_files(self, report: Report, exit_code: int) -> None:
        write_report_files(self._session, self._config, report, exit_code=exit_code, files=self._apply.files)


class _PlanNoter:
    """Passes on all events, and the plan with notes about the bundle."""

    def __init__(self, listener: PlanPrinter, side: OtherSide, config: Config) -> None:
        self._listener = listener
        self._side = side
        self._config = config
        self.on_start = listener.on_start
        self.on_size = listener.on_size
        self.on_found = listener.on_found
        self.on_bytes = listener.on_bytes
        self.on_shared_bytes = listener.on_shared_bytes

    def on_plan(self, plan: Plan) -> None:
        self._listener.on_plan(self._side.add_notes(plan, self._config))

    def on_finish(self, outcome: Outcome) -> None:
        self._listener.on_finish(outcome)


def _is_unfinished(report: Report) -> bool:
    """Return whether the same command should go on with what is left."""
    return bool(report.count(Result.REMAINING)) or any(error.later for error in report.errors)


def _find_exit_code(report: Report, bundle: Bundle | None) -> int:
    """Return the exit code; an incomplete image is a failure."""
    found = exit_code_of(report)
    carried = {image.destination for image in bundle.images} if bundle is not None else set()
    lacks = any(outcome.change.destination not in carried for outcome in report.select(Result.COPIED))
    return 1 if not found and lacks and not _is_unfinished(report) else found


def _report_without_plan(config: Config, error: ImgsyncError) -> Report:
    errors = tuple(PlanError(mirror.name, mirror.source.registry, error.message, error.advice) for mirror in config.mirrors if not mirror.suspend)
    return Report(Plan(()).id, (), errors, created_at=format_timestamp(datetime.now(UTC)))
