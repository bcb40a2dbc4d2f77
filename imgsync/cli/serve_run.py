"""Run `serve`: put the parts together, and end in order."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
from collections.abc import Sequence
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from imgsync.cli.accepted_documents import read_accepted_documents
from imgsync.cli.options import CommonOptions, LockUse
from imgsync.cli.output import get_redaction
from imgsync.cli.serve_listeners import Addresses, open_listeners
from imgsync.cli.serve_runner import RunSettings, ServeRunner
from imgsync.cli.session import STOPPED_EXIT, OpenLog, exit_now, hide_secrets, open_log
from imgsync.concurrency.signals import handle_hangup, handle_signals
from imgsync.config.accepted import AcceptedDocuments
from imgsync.config.load import load_config, load_registries
from imgsync.config.model import SERVE_PART, Config
from imgsync.config.schedule import Schedule
from imgsync.config.serve_settings import ServeSettings
from imgsync.errors import ConfigError, FileError
from imgsync.lock.load_locks import Locks
from imgsync.plan.safety import SafetyLimits
from imgsync.serve.agenda import Agenda
from imgsync.serve.clock import SystemClock
from imgsync.serve.declarations.folder import FolderFollower
from imgsync.serve.declarations.follower import Declarations, Follower
from imgsync.serve.declarations.watch import DeclarationWatch
from imgsync.serve.events.receiver import EventReceiver
from imgsync.serve.history import History
from imgsync.serve.inbox import Inbox
from imgsync.serve.live_board import LiveBoard
from imgsync.serve.record_run import log_bug
from imgsync.serve.service import Parts, Service
from imgsync.serve.views import ConfigurationView
from imgsync.serve.web.parts import WebParts
from imgsync.state.remote.reference import get_local_directory, is_remote, parse_remote
from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.serve.lease.keeper import LeaseKeeper

_DEFAULT_REGISTRIES = "registries.yaml"
_HISTORY = "runs"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of `serve`, apart from the common ones."""

    git: str | None = None
    git_ref: str = "main"
    git_path: Sequence[str] = ("mirrors.d",)
    git_interval_seconds: float = 60.0
    listen: str = "127.0.0.1:8080"
    listen_events: str | None = None
    every_seconds: float = 3600.0
    only_plan: bool = False
    lease: str | None = None
    lease_name: str = "imgsync"
    grace_seconds: float = 30.0
    max_changes: int | None = None
    max_bytes: int | None = None
    heartbeat_seconds: float = 60.0
    lock: LockUse = field(default_factory=LockUse)


def serve(paths: Sequence[str], options: ServeOptions, common: CommonOptions) -> int:
    """
    Serve until a signal comes; return the exit code.

    Raises:
        ConfigError: The declarations in *paths* are invalid from the start.
        UsageError: An option makes no sense, or an address cannot be listened on.
    """
    with contextlib.ExitStack() as signals, open_log(common) as opened, _Server(paths, options, common, opened) as server:
        signals.callback(handle_signals(server.end, lambda: exit_now(opened, ())))
        signals.callback(handle_hangup(server.inbox.ask_reload))
        has_ended = server.run()
        if not has_ended:
            # A program or a library that the run waits for does not come back.
            opened.log.warning("run.cut_short", reason="the run did not end within --grace; the next one resumes")
            opened.stream.hide(wait=False)
            os._exit(STOPPED_EXIT)
    return 0


class _Server:
    """All parts of one process."""

    # Whether registries.yaml had something in it when it was read last.
    _had_registries = False

    def __init__(self, paths: Sequence[str], options: ServeOptions, common: CommonOptions, opened: OpenLog) -> None:
        """Prepare; `run` begins."""
        self._options = options
        self._common = common = _pin_registries(common)
        self._opened = opened
        # click looks up the running command by greenlet.
        self._command = click.get_current_context()
        self._ends = contextlib.ExitStack()
        self._accepted = AcceptedDocuments()
        self._addresses = Addresses.parse(options.listen, options.listen_events)
        self._redaction = get_redaction()
        self._settings = _load_settings(common)
        self.inbox = Inbox()
        self._follower = self._make_follower(paths)
        self._ends.callback(self._follower.close)
        settings = RunSettings(common, SafetyLimits(options.max_changes, options.max_bytes), options.grace_seconds, options.heartbeat_seconds)
        runner = ServeRunner(settings, opened, on_locked=self._save_accepted)
        clock = SystemClock()
        history = History(
            None if (local := _find_local_folder(common.state)) is None else local / _HISTORY,
            clean=self._redaction.clean_values,
            on_damaged=lambda name, reason: opened.log.warning("history.damaged", file=name, reason=reason),
        )
        agenda = Agenda(every=Schedule(every_seconds=options.every_seconds), only_plans=options.only_plan, chance=random.Random(), make_id=make_run_id)  # noqa: S311 - spreads load
        self.board = LiveBoard(
            agenda,
            history,
            configuration=ConfigurationView(self._follower.origin),
            started_at=clock.now(),
            only_plans=options.only_plan,
            count_waiting=lambda: self.inbox.waiting + agenda.waiting,
        )
        self._lease = self._open_lease()
        self._receiver = EventReceiver(
            self._settings.events, self.inbox, select=agenda.has, counts=self.board.events, clock=clock, log=opened.log, may_act=self._may_act
        )
        self._watch = DeclarationWatch(self._follower, on_poll=self._note_poll, on_error=self._log_bug)
        self.service = Service(
            Parts(
                agenda=agenda,
                board=self.board,
                inbox=self.inbox,
                history=history,
                watch=self._watch,
                run=runner.run,
                clock=clock,
                log=opened.log,
                read_successes=runner.read_successes,
                lease=self._lease,
            )
        )
        self.service.on_declarations = self._use_settings

    def __enter__(self) -> _Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def run(self) -> bool:
        """Serve until `end`; return whether everything has ended."""
        self._begin()
        with open_listeners(self._make_web_parts(), self._receiver.receive, self._addresses, on_error=self._log_bug) as found:
            self._opened.log.info(
                "serve.started",
                origin=self._follower.origin,
                page=f"http://{found.main}",
                listen=str(found.main),
                listen_events=str(found.events or found.main),
                only_plan=self._options.only_plan,
            )
            if self._lease is not None:
                self._lease.start()
            has_ended = self.service.serve()
            if self._lease is not None and has_ended:
                # What still runs may write: then the lease has to run out.
                self._lease.release()
        self._opened.log.info("serve.ended")
        return has_ended

    def end(self) -> None:
        """Start nothing more, and end what runs within the grace period."""
        self._opened.log.info("serve.ending", grace_seconds=self._options.grace_seconds)
        self.service.end(self._options.grace_seconds)

    def _begin(self) -> None:
        """Read the first declarations."""
        if self._options.git is not None:
            # Beside the loop: a network may be slow, and pages are served meanwhile.
            self._watch.poll_now(must_read=False)
        elif (first := self._follower.poll()) is not None:
            if first.config is None:
                raise ConfigError(first.errors)
            self.service.use(first)

    def _make_web_parts(self) -> WebParts:
        own = self._addresses
        return WebParts(
            board=self.board,
            inbox=self.inbox,
            clock=SystemClock(),
            get_settings=lambda: self._settings,
            get_config=lambda: self.service.declarations.config if self.service.declarations is not None else None,
            receive_event=self._receiver.receive if own.events is None else None,
            is_alive=lambda: self.service.is_alive,
            explain_not_ready=self._explain_not_ready,
            clean=self._redaction.clean,
            on_error=self._log_bug,
            is_loopback=own.main.is_loopback,
        )

    def _may_act(self) -> bool:
        return self._lease is None or self._lease.is_held

    def _explain_not_ready(self) -> str:
        if self.service.is_ending:
            return "ending"
        return "" if self.service.declarations is not None else "no valid declarations yet"

    def _use_settings(self, declarations: Declarations) -> None:
        if declarations.config is not None:
            self._settings = declarations.config.registries.serve
            self._receiver.replace_settings(self._settings.events)

    def _log_bug(self, error: BaseException) -> None:
        log_bug(self._opened.log, error)

    def _make_follower(self, paths: Sequence[str]) -> Follower:
        options = self._options
        named = self._common.registries or os.environ.get("IMGSYNC_REGISTRIES") or _DEFAULT_REGISTRIES
        lock_folder = options.lock.folder if options.lock.option else None
        if options.git is not None:
            # Imported now: others follow a folder.
            from imgsync.cli.serve_git import make_git_follower
            from imgsync.serve.declarations.git import GitTarget

            return make_git_follower(
                GitTarget(options.git, options.git_ref, options.git_path, options.git_interval_seconds, lock_folder),
                self._common,
                self._load,
                folder=_find_local_folder(self._common.state),
                others=(named,),
                get_settings=lambda: self._settings.git,
                redaction=self._redaction,
                log=self._opened.log,
            )
        locks = () if lock_folder is None else (lock_folder,)
        return FolderFollower(paths, self._load, others=(named, *locks))

    def _open_lease(self) -> LeaseKeeper | None:
        if self._options.lease is None:
            return None
        # Imported now: few processes share their work.
        from imgsync.serve.lease.open import open_lease

        keeper = open_lease(self._options.lease_name, environ=os.environ, log=self._opened.log)
        keeper.on_change = self.inbox.wake
        return keeper

    def _load(self, paths: Sequence[str], *, folder: str = "") -> tuple[Config, Locks | None]:
        """Load declarations as every command does; see `LoadDeclarations`."""
        self._common = _pin_registries(self._common)
        self._check_emptied()
        accepted = read_accepted_documents(self._common.state)
        config = load_config(paths, registries=self._common.registries, environ=os.environ, accepted=accepted)
        config.registries.raise_if_unset(SERVE_PART)
        locks = replace(self._options.lock, folder=str(Path(folder) / self._options.lock.folder)).read(config)
        with self._command.scope(cleanup=False):
            hide_secrets(config.registries)
        self._accepted = accepted
        return config, locks

    def _check_emptied(self) -> None:
        """
        Return unless registries.yaml was emptied, as by a full disk.

        Raises:
            ConfigError: It was; nothing would be required of images any longer.
        """
        file = Path(self._common.registries or os.environ.get("IMGSYNC_REGISTRIES") or _DEFAULT_REGISTRIES)
        # What cannot be read is reported by who reads it.
        with contextlib.suppress(OSError):
            is_empty = file.stat().st_size == 0
            if is_empty and self._had_registries:
                raise ConfigError((FileError(str(file), 0, 0, "", "the file is empty, and was not before", "write `version: 1` to set nothing"),))
            self._had_registries = not is_empty

    def _save_accepted(self) -> None:
        self._accepted.save()

    def _note_poll(self) -> None:
        if not self._watch.fault:
            self.board.configuration = replace(self.board.configuration, checked_at=SystemClock().now())
        self.inbox.wake()


def _pin_registries(common: CommonOptions) -> CommonOptions:
    """Return *common* with the default file named if there is one."""
    # A named file that is gone is an error. Without it, nothing would be required of images, and the page would be public.
    is_default = common.registries is None and not os.environ.get("IMGSYNC_REGISTRIES")
    return replace(common, registries=_DEFAULT_REGISTRIES) if is_default and os.path.lexists(_DEFAULT_REGISTRIES) else common


def _load_settings(common: CommonOptions) -> ServeSettings:
    registries = load_registries(common.registries, os.environ)
    registries.raise_if_unset(SERVE_PART)
    return registries.serve


def _find_local_folder(location: str | None) -> Path | None:
    """Return the folder of this machine for a state at *location*."""
    if location is None:
        return None
    return Path(get_local_directory(parse_remote(location)) if is_remote(location) else location).absolute()


def make_run_id(moment: datetime) -> str:
    """Return an id for a run; later ones sort last."""
    return f"{moment:%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"
