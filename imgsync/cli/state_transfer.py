"""`imgsync state export|import|pull|push|rebuild`: what is remembered, moved as JSON lines or through a registry, or made anew."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imgsync.cli.options import DEFAULT_PATH, common_of, config_options, option, paths_argument, run_options
from imgsync.cli.state_options import directory_option, lock_option, log_options, opened_session, opened_state, registries_option, state_option
from imgsync.text.units import format_count

if TYPE_CHECKING:
    from imgsync.cli.session import Session
    from imgsync.state import StateStore
    from imgsync.state.merge import MergeResult
    from imgsync.state.remote.sync import RemoteState

_CHUNK = 1 << 20
_STANDARD = "-"


@click.command("export", short_help="Write what is remembered as JSON lines.")
@click.argument("file", default=_STANDARD, metavar="[FILE|-]")
@state_option
@registries_option
def export_records(file: str, state: str, registries: str | None) -> int:
    """Write all that is remembered as JSON lines, to FILE or to stdout."""
    from imgsync.state.jsonl import encode_lines
    from imgsync.text.units import format_timestamp

    with opened_state(state, registries, read_only=True) as store:
        snapshot = store.snapshot()
    lines = encode_lines(snapshot, created_at=format_timestamp(datetime.now(UTC)))
    if file == _STANDARD:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(lines)
        sys.stdout.buffer.flush()
    else:
        _write_file(Path(file), lines)
        click.echo(f"Wrote {format_count(len(snapshot.records), 'record')} to {file}.", err=True)
    return 0


@click.command("import", short_help="Merge exported JSON lines in.")
@click.argument("file", metavar="FILE|-")
@state_option
@registries_option
@lock_option
def import_records(file: str, state: str, registries: str | None, lock_timeout: float) -> int:
    """Merge JSON lines of `state export` in, all or none: of two records of one destination the newer stays."""
    from imgsync.errors import StateError
    from imgsync.state.jsonl import decode_lines
    from imgsync.state.merge import merge

    try:
        read = decode_lines(_chunks(file))
    except StateError as error:
        hint = error.hint or "nothing was imported; export it again where it came from"
        raise StateError(f"{'stdin' if file == _STANDARD else file} cannot be imported: {error.message}", hint=hint) from error
    with opened_state(state, registries, read_only=False, lock_timeout=lock_timeout) as store:
        _check_lasting(store, state)
        merged = merge(store.snapshot(), read.snapshot)
        store.replace_all(merged.snapshot)
    if read.skipped_lines:
        click.echo(f"warning: passed over {read.skipped_lines} lines of kinds that this version does not know", err=True)
    click.echo(_told("Imported", merged))
    return 0


@click.command("pull", short_help="Merge a registry's state into the directory.")
@click.argument("reference", metavar="HOST/REPO:TAG")
@directory_option
@registries_option
@lock_option
@log_options
def pull_records(reference: str, **options: Any) -> int:
    """Merge the state that a registry keeps under a tag into the directory."""
    with _remote(reference, **options) as (remote, session):
        merged = remote.pull(check=session.stop.raise_if_requested)
    click.echo(f"{reference} is not there yet; nothing was pulled." if merged is None else _told("Pulled", merged))
    return 0


@click.command("push", short_help="Put the directory's state into a registry.")
@click.argument("reference", metavar="HOST/REPO:TAG")
@option("--force", is_flag=True, help="Replace what is there, whatever it is, instead of merging it.")
@directory_option
@registries_option
@lock_option
@log_options
def push_records(reference: str, *, force: bool, **options: Any) -> int:
    """Put what the directory remembers, merged with what others pushed since it was pulled, under a tag of a registry."""
    with _remote(reference, **options) as (remote, session):
        pushed = remote.push(force=force)
        count = len(session.state.snapshot().records)
    click.echo(f"Pushed {format_count(count, 'record')}." if pushed else f"{reference} has all {format_count(count, 'record')} already.")
    return 0


@click.command("rebuild", short_help="Remember what the destinations serve; copy nothing.")
@paths_argument
@config_options
@run_options
def rebuild_records(paths: tuple[str, ...], only: tuple[str, ...], **options: Any) -> int:
    """Ask every destination what it serves, and remember what is as declared. Nothing is copied."""
    common = common_of(options)
    from imgsync.apply.rebuild_state import rebuild_state
    from imgsync.cli.session import open_session
    from imgsync.config.load import load_config
    from imgsync.plan.build import build_plan
    from imgsync.plan.log_plan import log_plan

    config = load_config(paths or (DEFAULT_PATH,), registries=common.registries, environ=os.environ, only=only)
    with open_session(config.registries, common, read_only=False) as session:
        session.stop_in_time()
        _check_lasting(session.state, common.state or "")
        inquiry = session.inquiry(refresh=True)
        plan = build_plan(config, inquiry)
        log_plan(plan, session.log)
        rebuilt = rebuild_state(plan, config, inquiry)
    click.echo(f"Remembered {rebuilt.remembered} tags that are as declared; {rebuilt.left} are not, and are left for apply.")
    if rebuilt.forgotten:
        click.echo(f"Forgot {format_count(rebuilt.forgotten, 'record')} that the destinations contradict.")
    return 1 if plan.errors else 0


@contextmanager
def _remote(reference: str, state: str, registries: str | None, lock_timeout: float, **options: Any) -> Iterator[tuple[RemoteState, Session]]:
    """Give the state at *reference* and the session in which the directory *state* goes with it."""
    from imgsync.cli.state_backend import remote_state
    from imgsync.errors import UsageError
    from imgsync.state.remote.reference import is_remote, parse_remote

    where = parse_remote(reference)
    if is_remote(state):
        raise UsageError(f"the state {state} is in a registry itself", hint="name the directory with --state DIR; between registries, pull and push")
    with opened_session(state, registries, read_only=False, lock_timeout=lock_timeout, **options) as session:
        _check_lasting(session.state, state)
        yield remote_state(where, session.registries, session.state, directory=state, log=session.log), session


def _check_lasting(store: StateStore, state: str) -> None:
    from imgsync.errors import StateError

    if not store.is_persistent:
        raise StateError(f"the state {state} cannot be written; nothing was done", hint="name another directory with --state")


def _told(what: str, merged: MergeResult) -> str:
    removed = f", {merged.removed} removed" if merged.removed else ""
    return f"{what} {format_count(merged.added + merged.newer, 'record')}: {merged.added} new, {merged.newer} newer{removed}; {merged.kept} kept."


def _chunks(file: str) -> Iterator[bytes]:
    from imgsync.errors import UsageError

    try:
        with sys.stdin.buffer if file == _STANDARD else Path(file).open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error


def _write_file(path: Path, pieces: Iterable[bytes]) -> None:
    from imgsync.errors import UsageError
    from imgsync.system.atomic_write import write_atomically

    # Where a link leads, so that the link stays; a device, such as /dev/stdout, is not put aside for a file.
    target = path.resolve()
    try:
        if target.exists() and not target.is_file():
            raise UsageError(f"{path} is no file that could be replaced", hint="`-` is stdout")
        write_atomically(target, pieces)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
