"""Options that commands share, each with its IMGSYNC_… variable, and what they amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

DEFAULT_PATH = "mirrors.d"
DEFAULT_STATE = ".imgsync/state"


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every command that talks to registries; `state` is None where none is needed."""

    registries: str | None
    state: str | None
    lock_timeout_seconds: float
    log_level: str | None
    log_format: str
    progress: bool
    run_seconds: float | None


class Duration(click.ParamType[Any]):
    """A duration such as 90s, 15m, 6h; seconds once parsed."""

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
    """A size such as 512MiB; bytes once parsed."""

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
    ("--run-timeout", {"type": Duration(), "default": None, "help": "Stop in good order after this time, exit 75."}),
    ("--no-progress", {"is_flag": True, "help": "No progress bars."}),
    (
        "--log-format",
        {"type": click.Choice(["auto", "json", "console"]), "default": "auto", "show_default": True, "help": "How the log on stderr is written."},
    ),
    (
        "--log-level",
        {
            "type": click.Choice(["debug", "info", "warning", "error"]),
            "default": None,
            "help": "What the log on stderr tells. Default: info; on a terminal, where bars and report tell the rest, warning.",
        },
    ),
    ("--lock-timeout", {"type": Duration(), "default": "0s", "show_default": True, "help": "How long to wait for another run's lock on the state."}),
    (
        "--state",
        {
            "metavar": "DIR|oci://REF",
            "default": DEFAULT_STATE,
            "show_default": True,
            "help": "Where is remembered what was pushed: a directory, or HOST/REPO:TAG in a registry.",
        },
    ),
)


def option(*names: str, **attributes: Any) -> Callable[[Function], Function]:
    """Return click's option decorator with the variable IMGSYNC_NAME for `--name`."""
    long = next(name for name in names if name.startswith("--")).partition("/")[0]
    return click.option(*names, envvar="IMGSYNC_" + long.lstrip("-").replace("-", "_").upper(), show_envvar=False, **attributes)


def paths_argument(function: Function) -> Function:
    """Add PATH..., mirrors.d if left out."""
    return click.argument("paths", nargs=-1, metavar="[PATH]...")(function)


def config_options(function: Function) -> Function:
    """Add the options that say what is configured."""
    for add in (
        option("--only", multiple=True, metavar="NAME", help="Only mirrors whose name fits this glob; may be repeated."),
        option("--registries", metavar="FILE", help="The trust: how registries are reached. Default: registries.yaml, if there is one."),
    ):
        function = add(function)
    return function


def run_options(function: Function) -> Function:
    """Add the options of commands that talk to registries."""
    for name, attributes in _RUN_OPTIONS:
        function = option(name, **attributes)(function)
    return function


def taken_run_options(function: Function) -> Function:
    """Take the same options and leave them be, so that a command without a network can be given what its siblings are given."""
    for name, attributes in _RUN_OPTIONS:
        function = option(name, **attributes, hidden=True, expose_value=False)(function)
    return function


def apply_options(function: Function) -> Function:
    """Add the options of commands that copy."""
    for add in (
        option("--grace", type=Duration(), default="5s", show_default=True, help="How long what runs may go on after a stop."),
        option("--heartbeat", type=Duration(), default="60s", show_default=True, help="Log progress at least this often without a terminal."),
        option("--junit", metavar="FILE", default=None, help="Write what came of each image as JUnit XML, for CI systems that show tests."),
        option("--report", metavar="FILE", default=None, help="Write what came of each image as one HTML page."),
        option("--metrics", metavar="FILE", default=None, help="Write the run's metrics as Prometheus' text, for node exporter's textfile collector."),
        option("--max-bytes", type=Size(), default=None, help="Do nothing if the plan moves more than this, such as 50GiB."),
        option("--max-changes", type=click.IntRange(min=0), default=None, help="Do nothing if the plan holds more changes than this."),
        option("--fail-fast", is_flag=True, help="Start no further image once one failed."),
    ):
        function = add(function)
    return function


def output_option(*forms: str) -> Callable[[Function], Function]:
    """Return the decorator that adds -o with *forms*, the first by default."""
    return option("-o", "--output", type=click.Choice(forms), default=forms[0], show_default=True, help="How the result is written to stdout.")


def refresh_option(function: Function) -> Function:
    """Add --refresh."""
    return option("--refresh", is_flag=True, help="Ask the registries instead of the state.")(function)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The files that a run writes besides its output; None for none."""

    html: str | None = None
    metrics: str | None = None
    junit: str | None = None

    def __iter__(self) -> Iterator[str | None]:
        """Yield the path of each."""
        return iter((self.html, self.metrics, self.junit))


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """The options of `apply` and `copy`, apart from those of every command."""

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


def parse_apply_options(output: str, options: dict[str, Any]) -> ApplyOptions:
    """Return the options of `apply_options`, as click parsed them."""
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
    )


def common_of(options: dict[str, Any]) -> Common:
    """Take the shared options out of a command's *options*."""
    return Common(
        registries=options.pop("registries", None),
        state=options.pop("state"),
        lock_timeout_seconds=options.pop("lock_timeout"),
        log_level=options.pop("log_level"),
        log_format=options.pop("log_format"),
        progress=not options.pop("no_progress"),
        run_seconds=options.pop("run_timeout"),
    )
