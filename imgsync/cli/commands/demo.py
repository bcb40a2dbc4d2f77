"""`imgsync demo`: run a demo on two built-in registries."""

from __future__ import annotations

import click

from imgsync.cli.options import option
from imgsync.cli.output import print_line
from imgsync.errors import UsageError

_PORT = 5000
_LAST_PORT = 65534


@click.command("demo")
@option("--directory", metavar="DIR", default=None, help="Keep the files here. Default: a temporary directory, removed at the end.")
@option("--serve", is_flag=True, help="Only run the registries, until Ctrl-C, for a mirror of your own.")
@option(
    "--port",
    type=click.IntRange(0, _LAST_PORT),
    metavar="PORT",
    default=None,
    help=f"With --serve: the port of the destination; the source has the next one. 0: free ports. Default: {_PORT}.",
)
def command(directory: str | None, serve: bool, port: int | None) -> int:
    """Run validate, plan and apply on two built-in registries on loopback."""
    if serve:
        return _serve(directory, _PORT if port is None else port)
    if port is not None:
        raise UsageError("--port is only for --serve", hint="the demo itself uses free ports")
    from imgsync.demo.walkthrough import run_demo
    from imgsync.system.early_signals import raise_at_interrupt

    raise_at_interrupt()
    return run_demo(directory, echo=print_line)


def _serve(directory: str | None, port: int) -> int:
    from imgsync.concurrency.signals import expect_signal
    from imgsync.demo.serve import serve_registries

    if directory is not None:
        raise UsageError("--directory keeps the files of the demo, and --serve writes none", hint="remove one of the two")
    return serve_registries(port, wait=expect_signal(), echo=print_line)
