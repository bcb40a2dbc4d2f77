"""Run `lock`: find out, write, print."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from imgsync.cli.accepted_documents import read_accepted_documents
from imgsync.cli.options import CommonOptions
from imgsync.cli.output import choose_layout, get_redaction, print_clean_json, print_line, print_table
from imgsync.cli.progress_display import open_display
from imgsync.cli.session import STOPPED_EXIT, Session, open_session
from imgsync.config.load import load_config
from imgsync.config.model import Config
from imgsync.errors import ConfigError, FileError, StateError
from imgsync.lock.load_locks import locate_lock
from imgsync.lock.model import Lock
from imgsync.lock.read_lock import read_lock
from imgsync.lock.write_lock import format_lock, has_lines, write_lock
from imgsync.plan.lock_changes import WRITTEN, WRONG, LockResult, MirrorLock
from imgsync.plan.lock_update import LockUpdate
from imgsync.plan.make_lock import make_locks
from imgsync.progress.counts import Work
from imgsync.system.dataclass import dataclass
from imgsync.text.units import format_timestamp

PENDING_EXIT = 2


@dataclass(frozen=True, slots=True)
class LockOptions:
    """The options of `lock`, apart from the common ones."""

    output: str
    folder: str
    update: bool = False
    check: bool = False
    images: tuple[str, ...] = ()
    heartbeat: float = 60.0


def run_lock(paths: Sequence[str], only: Sequence[str], options: LockOptions, common: CommonOptions) -> int:
    """
    Lock the mirrors of *paths*, and return the exit code.

    Raises:
        ConfigError: A declaration or a lock is invalid.
        OutputError: A lock cannot be written.
        UsageError: An option selects nothing.
    """
    update = LockUpdate(is_enabled=options.update, patterns=options.images, checks=options.check)
    config = load_config(paths, registries=common.registries, environ=os.environ, only=only, accepted=read_accepted_documents(common.state))
    old = _read_locks(config, options.folder)
    began = time.monotonic()
    # Only digests that must wait are recorded.
    holds = any(mirror.tags.min_age_seconds is not None for mirror in config.mirrors)
    with open_session(config.registries, common, read_only=options.check or not holds, pushes=False) as session:
        with open_display(session, Work.PLAN, heartbeat_seconds=options.heartbeat) as display:
            context = session.make_context(display.listener, refresh=False, strict=False)
            locks = session.finish(lambda: make_locks(config, context, old, folder=options.folder, update=update))
        if not any(lock.errors for lock in locks):
            update.check_matched()
        changed = _write(locks, is_check=options.check)
        if not options.check:
            _record_held(session, locks)
    now = format_timestamp(datetime.now(UTC))
    notes = [_explain_file(lock, old.get(lock.mirror)) for lock in locks if lock.file in changed and not any(one.action in WRITTEN for one in lock.changes)]
    notes += _find_unused(config, options.folder) if config.is_complete else ()
    found = LockResult(locks, changed, options.check, now, round(time.monotonic() - began, 3), tuple(notes))
    _print(_redact(found), options.output)
    return _find_exit_code(found)


def _read_locks(config: Config, folder: str) -> Mapping[str, Lock]:
    """Return the locks that exist."""
    found: dict[str, Lock] = {}
    errors: list[FileError] = []
    for mirror in config.mirrors:
        try:
            found[mirror.name] = read_lock(locate_lock(folder, mirror.name), mirror.name)
        except FileNotFoundError:
            continue
        except ConfigError as error:
            errors += error.errors
    if errors:
        raise ConfigError(tuple(errors))
    return found


def _write(locks: Sequence[MirrorLock], *, is_check: bool) -> frozenset[str]:
    """Write each lock that changed, unless *is_check*; return their files."""
    changed = []
    for lock in locks:
        path = Path(lock.file)
        if lock.errors or has_lines(path, format_lock(lock.mirror, lock.declaration, lock.images)):
            continue
        changed.append(lock.file)
        if not is_check:
            write_lock(path, format_lock(lock.mirror, lock.declaration, lock.images))
    return frozenset(changed)


def _explain_file(lock: MirrorLock, old: Lock | None) -> str:
    """Return why the file of *lock* changes although no image does."""
    if old is None:
        return f"{lock.file} is new and has no image: the mirror {lock.mirror} selects none"
    if old.declaration != lock.declaration:
        return f"{lock.file}: `source` or `tags` of the mirror {lock.mirror} changed since the lock was made; its images stay the same"
    return f"{lock.file}: only comments, order or spaces change; its images stay the same"


def _record_held(session: Session, locks: Sequence[MirrorLock]) -> None:
    """Record when the held digests were seen, so that their time begins."""
    moment = format_timestamp(datetime.now(UTC), milliseconds=True)
    seen = [(repository, digest, moment) for lock in locks for repository, digest in lock.held]
    if not seen:
        return
    try:
        session.state.put([], seen=seen)
    except StateError as error:
        session.log.warning("state.degraded", reason=error.message)


def _find_unused(config: Config, folder: str) -> Sequence[str]:
    """Return a note for each lock without a declared mirror."""
    declared = {mirror.name for mirror in config.mirrors}
    try:
        files = sorted(path for path in Path(folder).iterdir() if path.suffix == ".yaml" and not path.name.startswith("."))
    except OSError:
        return []
    return [f"{path} is of a mirror that is not declared here; delete it if the mirror is gone" for path in files if path.stem not in declared]


def _redact(found: LockResult) -> LockResult:
    """Return *found* with its texts cleaned, before a table cuts them."""
    clean = get_redaction().clean
    locks = [
        replace(
            lock,
            changes=[replace(change, reason=clean(change.reason)) for change in lock.changes],
            errors=tuple(replace(error, message=clean(error.message), hint=clean(error.hint)) for error in lock.errors),
        )
        for lock in found.locks
    ]
    return replace(found, locks=locks)


def _print(found: LockResult, output: str) -> None:
    if output == "json":
        from imgsync.documents.lock_changes import encode_lock_changes

        print_clean_json(encode_lock_changes(found, get_redaction().clean_values))
    elif output == "markdown":
        from imgsync.render.lock_markdown import render_lock_markdown

        print_line(render_lock_markdown(found).rstrip("\n"))
    else:
        from imgsync.render.lock_table import render_lock_table

        print_table(render_lock_table(found, layout=choose_layout(sys.stdout)))


def _find_exit_code(found: LockResult) -> int:
    if any(not error.later for error in found.errors) or any(found.counts[action] for action in WRONG):
        return 1
    if found.errors:
        return STOPPED_EXIT
    return PENDING_EXIT if found.is_check and found.changed else 0
