"""Options that commands share, each with its IMGSYNC_… variable."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import click

from imgsync.system.dataclass import dataclass

if TYPE_CHECKING:
    from imgsync.config.model import Config
    from imgsync.lock.load_locks import Locks

# What completes an option or an argument, by how the help calls its value.
_COMPLETERS = {"FILE": "complete_file", "PATH": "complete_file", "DIR": "complete_folder", "DIR|oci://REF": "complete_folder"}

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_PATH = "mirrors.d"
DEFAULT_STATE = ".imgsync/state"
DEFAULT_LOCK = "mirrors.lock"
STATE_HELP = "Where to store the record of pushed images: a directory, or HOST/REPO:TAG in a registry."
RUN_TIMEOUT_HELP = "Stop gracefully after this time and exit 75."
LOCK_TIMEOUT_HELP = "How long to wait if another run has locked the state."
REGISTRIES_HELP = "Registry settings file: credentials, TLS, allow-list. Default: registries.yaml, if it exists."


@dataclass(frozen=True, slots=True)
class CommonOptions:
    """The options of every command that uses registries."""

    registries: str | None
    state: str | None
    lock_timeout_seconds: float = 0.0
    log_level: str | None = None
    log_format: str = "auto"
    progress: bool = True
    run_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class LockUse:
    """Which lock a run uses, and how; by default none."""

    folder: str = DEFAULT_LOCK
    is_locked: bool = False
    is_frozen: bool = False

    @property
    def option(self) -> str:
        """Return the option that asks for a lock, "" for none."""
        return "--frozen" if self.is_frozen else "--locked" if self.is_locked else ""

    def read(self, config: Config) -> Locks | None:
        """
        Return the locks of the mirrors of *config*, None without an option.

        Raises:
            ConfigError: A lock is missing, invalid, or does not fit its mirror.
        """
        if not self.option:
            return None
        from imgsync.lock.load_locks import load_locks

        return load_locks(config, self.folder, frozen=self.is_frozen)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The paths of the report files; None for none."""

    html: str | None = None
    metrics: str | None = None
    junit: str | None = None

    def __iter__(self) -> Iterator[str | None]:
        """Yield the path of each."""
        return iter((self.html, self.metrics, self.junit))


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options of `apply` and `copy`, apart from the common ones."""

    output: str
    refresh: bool
    files: ReportFiles
    heartbeat_seconds: float
    grace_seconds: float
    fail_fast: bool
    max_changes: int | None
    max_bytes: int | None
    requeue: str | None
    requeue_limit: int
    yes: bool


class Duration(click.ParamType[Any]):
    """A duration such as 90s, 15m or 1h30m, parsed to seconds."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return *value* in seconds."""
        from imgsync.text.units import parse_duration

        if isinstance(value, float):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Size(click.ParamType[Any]):
    """A size such as 512MiB, parsed to bytes."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return *value* in bytes."""
        from imgsync.text.units import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


_RUN_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("--run-timeout", {"type": Duration(), "default": None, "help": RUN_TIMEOUT_HELP}),
    ("--no-progress", {"is_flag": True, "help": "Do not show progress on a terminal."}),
    (
        "--log-format",
        {"type": click.Choice(["auto", "json", "console"]), "default": "auto", "show_default": True, "help": "Format of the log on stderr."},
    ),
    (
        "--log-level",
        {
            "type": click.Choice(["debug", "info", "warning", "error"]),
            "default": None,
            "help": "Lowest level of the log on stderr. Default: warning on a terminal, info elsewhere.",
        },
    ),
    ("--lock-timeout", {"type": Duration(), "default": "0s", "show_default": True, "help": LOCK_TIMEOUT_HELP}),
    (
        "--state",
        {
            "metavar": "DIR|oci://REF",
            "default": DEFAULT_STATE,
            "show_default": True,
            "help": STATE_HELP,
        },
    ),
)


def is_on_command_line(name: str) -> bool:
    """Return whether the option *name* of the running command is an argument."""
    return click.get_current_context().get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def complete_by(name: str) -> Callable[..., Any]:
    """Return a completion that imports the function *name* when a shell asks."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> Any:
        from imgsync.cli import complete as completions

        return getattr(completions, name)(context, parameter, incomplete)

    return complete


def option(*names: str, **attributes: Any) -> Callable[[Function], Function]:
    """Return the decorator of an option."""
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    if attributes.get("metavar") in _COMPLETERS:
        attributes.setdefault("shell_complete", complete_by(_COMPLETERS[attributes["metavar"]]))
    return click.option(*names, envvar="IMGSYNC_" + long.lstrip("-").replace("-", "_").upper(), show_envvar=False, **attributes)


def paths_argument(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument PATH..., and `--file` as another way to write it."""

    @functools.wraps(function)
    def run(*, paths: tuple[str, ...], file: tuple[str, ...], **options: Any) -> Any:
        return function(paths=(*paths, *file) or (DEFAULT_PATH,), **options)

    argument = click.argument("paths", nargs=-1, metavar="[PATH]...", shell_complete=complete_by("complete_file"))
    return argument(option("-f", "--file", multiple=True, metavar="PATH", help="The same as PATH; repeatable.")(run))


def config_options(function: Function) -> Function:
    """Add the options that select the configuration."""
    for add in (
        option(
            "--only",
            multiple=True,
            metavar="PATTERN",
            shell_complete=complete_by("complete_mirror"),
            help="Only these: MIRROR, MIRROR/REPOSITORY or MIRROR/REPOSITORY:TAG, with globs; repeatable.",
        ),
        option("--registries", metavar="FILE", help=REGISTRIES_HELP),
    ):
        function = add(function)
    return function


def run_options(function: Function) -> Function:
    """Add the options of commands that use registries."""
    for name, attributes in _RUN_OPTIONS:
        function = option(name, **attributes)(function)
    return function


def ignored_run_options(function: Function) -> Function:
    """Accept the options of `run_options` and ignore them."""
    for name, attributes in _RUN_OPTIONS:
        function = option(name, **attributes, hidden=True, expose_value=False)(function)
    return function


def apply_options(function: Function) -> Function:
    """Add the options of commands that copy."""
    for add in (
        option("--grace", type=Duration(), default="5s", show_default=True, help="How long running copies may continue after a stop."),
        heartbeat_option,
        report_options,
        option("--max-bytes", type=Size(), default=None, help="Do nothing if the plan transfers more than this, such as 50GiB."),
        option("--max-changes", type=click.IntRange(min=0), default=None, help="Do nothing if the plan has more changes than this."),
        option("--fail-fast", is_flag=True, help="Start no further image after the first failure."),
    ):
        function = add(function)
    return function


def report_options(function: Function) -> Function:
    """Add the options of report files."""
    for add in (
        option("--junit", metavar="FILE", default=None, help="Write a JUnit XML report, for CI systems that show test results."),
        option("--report", metavar="FILE", default=None, help="Write an HTML report of the results."),
        option("--metrics", metavar="FILE", default=None, help="Write Prometheus metrics, for the textfile collector of node exporter."),
    ):
        function = add(function)
    return function


def heartbeat_option(function: Function) -> Function:
    """Add --heartbeat."""
    return option("--heartbeat", type=Duration(), default="60s", show_default=True, help="Without a terminal, log progress at least this often.")(function)


def broker_options(default: str | None) -> Callable[[Function], Function]:
    """Return the decorator that adds --broker and --queue."""
    given = {"default": default, "show_default": default is not None}
    broker = option("--broker", metavar="URL|auto", help="RabbitMQ of a fleet, without a login. `auto`: the `broker` of registries.yaml.", **given)
    queue = option("--queue", metavar="NAME", default="imgsync", show_default=True, help="Queue of the fleet. One coordinator uses it at a time.")
    return lambda function: broker(queue(function))


def worker_log_options(function: Function) -> Function:
    """Add the options of a worker's log."""
    for name, attributes in _RUN_OPTIONS:
        if name.startswith("--log"):
            shown = {"help": "Lowest level of the log on stderr. Default: info."} if name == "--log-level" else {}
            function = option(name, **{**attributes, **shown})(function)
    return function


def output_option(*forms: str) -> Callable[[Function], Function]:
    """Return the decorator that adds -o."""
    return option("-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="Format of the result on stdout.")


def lock_folder_option(function: Function) -> Function:
    """Add --lock-dir."""
    return option("--lock-dir", metavar="DIR", default=DEFAULT_LOCK, show_default=True, help="The folder of lock files, one per mirror.")(function)


def lock_options(function: Function) -> Function:
    """Add the options that use a lock."""
    for add in (
        lock_folder_option,
        option("--frozen", is_flag=True, help="Use the lock as the selection, without asking the source for tags."),
        option("--locked", is_flag=True, help="Use the digests of the lock, which must fit the declarations."),
    ):
        function = add(function)
    return function


def parse_lock_use(options: dict[str, Any]) -> LockUse:
    """
    Return the options of `lock_options` that click parsed.

    Raises:
        UsageError: They exclude each other.
    """
    if options["locked"] and options["frozen"]:
        from imgsync.errors import UsageError

        raise UsageError("--locked and --frozen exclude each other", hint="--locked compares with the source, --frozen does not ask it")
    return LockUse(options["lock_dir"], options["locked"], options["frozen"])


def refresh_option(function: Function) -> Function:
    """Add --refresh."""
    return option("--refresh", is_flag=True, help="Ask the destinations, not the state.")(function)


def parse_apply_options(output: str, options: dict[str, Any]) -> ApplyOptions:
    """Return the options of `apply_options` that click parsed."""
    return ApplyOptions(
        output=output,
        refresh=options["refresh"],
        files=ReportFiles(options["report"], options["metrics"], options["junit"]),
        heartbeat_seconds=options["heartbeat"],
        grace_seconds=options["grace"],
        fail_fast=options["fail_fast"],
        max_changes=options["max_changes"],
        max_bytes=options["max_bytes"],
        requeue=options.get("requeue"),
        requeue_limit=options.get("requeue_limit", 0),
        # `copy` is not asked: its arguments name what it does.
        yes=options.get("yes", True),
    )


def parse_common_options(options: dict[str, Any]) -> CommonOptions:
    """Return the common options."""
    return CommonOptions(
        registries=options.get("registries"),
        state=options["state"],
        lock_timeout_seconds=options.get("lock_timeout", 0.0),
        log_level=options.get("log_level"),
        log_format=options.get("log_format", "auto"),
        progress=not options.get("no_progress", False),
        run_seconds=options.get("run_timeout"),
    )
