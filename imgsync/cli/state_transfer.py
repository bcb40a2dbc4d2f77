"""`imgsync state export|import|pull|push|rebuild`: move the state, or rebuild it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import (
    DEFAULT_PATH,
    CommonOptions,
    complete_by,
    config_options,
    heartbeat_option,
    option,
    parse_common_options,
    paths_argument,
    run_options,
)
from imgsync.cli.output import print_line, print_note
from imgsync.cli.state_options import (
    directory_option,
    lock_option,
    log_options,
    open_state_session,
    open_store,
    registries_option,
    run_timeout_option,
    state_option,
)
from imgsync.text.units import format_count

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.state import StateStore
    from imgsync.state.merge import MergeResult
    from imgsync.state.remote.sync import RemoteState

_CHUNK_BYTES = 1 << 20
_STANDARD_STREAM = "-"


@click.command("export", short_help="Write the state as JSON lines.")
@click.argument("file", default=_STANDARD_STREAM, metavar="[FILE|-]", shell_complete=complete_by("complete_file"))
@state_option
@registries_option
def export_state(file: str, **options: Any) -> int:
    """Write the whole state as JSON lines, to FILE or to stdout."""
    from imgsync.state.jsonl import encode_lines
    from imgsync.text.units import format_timestamp

    with open_store(parse_common_options(options), read_only=True) as store:
        snapshot = store.snapshot()
    lines = encode_lines(snapshot, created_at=format_timestamp(datetime.now(UTC)))
    if file == _STANDARD_STREAM:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    else:
        _write_file(Path(file), lines)
        print_note(f"Wrote {format_count(len(snapshot.records), 'record')} to {file}.")
    return 0


@click.command("import", short_help="Merge exported JSON lines into the state.")
@click.argument("file", metavar="FILE|-", shell_complete=complete_by("complete_file"))
@state_option
@registries_option
@lock_option
def import_state(file: str, **options: Any) -> int:
    """
    Merge the JSON lines of `state export` into the state.

    All are merged, or none. Of two records of one destination, the newer one wins.
    """
    from imgsync.errors import StateError
    from imgsync.state.jsonl import decode_lines
    from imgsync.state.merge import merge

    common = parse_common_options(options)
    try:
        read = decode_lines(_read_chunks(file))
    except StateError as error:
        hint = error.hint or "nothing was imported; export the file again"
        raise StateError(f"{'stdin' if file == _STANDARD_STREAM else file} cannot be imported: {error.message}", hint=hint) from error
    with open_store(common, read_only=False) as store:
        _check_persistent(store, common)
        merged = merge(store.snapshot(), read.snapshot)
        store.replace_all(merged.snapshot)
    if read.skipped_lines:
        print_note(f"warning: skipped {read.skipped_lines} lines of kinds that this version does not know")
    print_line(_format_merged("Imported", merged))
    return 0


@click.command("pull", short_help="Merge a registry's state into the directory.")
@click.argument("reference", metavar="HOST/REPO:TAG")
@directory_option
@registries_option
@lock_option
@run_timeout_option
@log_options
def pull_state(reference: str, **options: Any) -> int:
    """Merge the state in a registry into the directory."""
    with _open_remote(reference, parse_common_options(options)) as (remote, session):
        merged = session.finish(lambda: remote.pull(check=session.stop.raise_if_requested))
    print_line(f"{reference} does not exist yet; nothing was pulled." if merged is None else _format_merged("Pulled", merged))
    return 0


@click.command("push", short_help="Push the directory's state to a registry.")
@click.argument("reference", metavar="HOST/REPO:TAG")
@option("--force", is_flag=True, help="Replace what the tag holds instead of merging.")
@directory_option
@registries_option
@lock_option
@run_timeout_option
@log_options
def push_state(reference: str, *, force: bool, **options: Any) -> int:
    """
    Push the directory's state to a registry.

    It is merged with what others pushed since it was pulled.
    """
    with _open_remote(reference, parse_common_options(options)) as (remote, session):
        session.stop_in_time()
        pushed = remote.push(force=force)
        count = len(session.state.snapshot().records)
    print_line(f"Pushed {format_count(count, 'record')}." if pushed else f"{reference} has all {format_count(count, 'record')} already.")
    return 0


@click.command("rebuild", short_help="Record what the destinations serve; copy nothing.")
@paths_argument
@heartbeat_option
@config_options
@run_options
def rebuild_from_destinations(paths: tuple[str, ...], only: tuple[str, ...], **options: Any) -> int:
    """
    Record the tags that the destinations serve as declared.

    Nothing is copied.
    """
    common = parse_common_options(options)
    from imgsync.apply.rebuild_state import rebuild_state
    from imgsync.cli.progress_display import open_display
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_config
    from imgsync.plan.build import build_plan
    from imgsync.plan.log_plan import log_plan
    from imgsync.progress.counts import Work

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.registries, common, read_only=False) as session:
        _check_persistent(session.state, common)
        with open_display(session, Work.PLAN, heartbeat_seconds=options["heartbeat"]) as display:
            context = session.make_context(display.listener, refresh=True)
            plan = session.finish(lambda: build_plan(config, context))
        log_plan(plan, session.log)
        rebuilt = rebuild_state(plan, config, context)
    print_line(f"Recorded {format_count(rebuilt.recorded, 'tag')}; {rebuilt.left} left for apply.")
    if rebuilt.removed:
        print_line(f"Removed {format_count(rebuilt.removed, 'record')} that contradicted the destinations.")
    return 1 if plan.errors else 0


@contextmanager
def _open_remote(reference: str, common: CommonOptions) -> Iterator[tuple[RemoteState, Session]]:
    """Open the state at *reference*, and a session with its directory."""
    from imgsync.cli.state_backend import make_remote_state
    from imgsync.concurrency.deadline import Deadline
    from imgsync.errors import UsageError
    from imgsync.state.remote.reference import is_remote, parse_remote

    parsed = parse_remote(reference)
    directory = common.state or ""
    if is_remote(directory):
        raise UsageError(f"the state {directory} is itself in a registry", hint="name a directory with --state DIR; between registries, pull and then push")
    with open_state_session(common, read_only=False) as session:
        _check_persistent(session.state, common)
        check = Deadline(None, stop=session.stop).check
        yield make_remote_state(parsed, session.registries, session.state, directory=directory, log=session.log, check=check), session


def _check_persistent(store: StateStore, common: CommonOptions) -> None:
    from imgsync.errors import StateError

    if not store.is_persistent:
        raise StateError(f"the state {common.state} cannot be written; nothing was done", hint="name another directory with --state")


def _format_merged(verb: str, merged: MergeResult) -> str:
    removed = f", {merged.removed} removed" if merged.removed else ""
    return f"{verb} {format_count(merged.added + merged.newer, 'record')}: {merged.added} new, {merged.newer} newer{removed}; {merged.kept} kept."


def _read_chunks(file: str) -> Iterator[bytes]:
    from imgsync.errors import UsageError

    try:
        with sys.stdin.buffer if file == _STANDARD_STREAM else Path(file).open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _write_file(path: Path, pieces: Iterable[bytes]) -> None:
    from imgsync.errors import UsageError
    from imgsync.system.atomic_write import write_atomically

    # Resolved, so that a symlink stays one. A device such as /dev/stdout must not be replaced by a file.
    target = path.resolve()
    try:
        if target.exists() and not target.is_file():
            raise UsageError(f"{path} is not a regular file", hint="use `-` for stdout")
        write_atomically(target, pieces)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
