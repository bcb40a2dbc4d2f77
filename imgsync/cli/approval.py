"""Ask on a terminal whether to apply a plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager

import click

from imgsync.cli.output import choose_layout, print_note
from imgsync.concurrency.read_answer import discard_typed, read_answer
from imgsync.concurrency.stop import Stop
from imgsync.errors import NotApprovedError, StoppedError
from imgsync.plan.model import Plan

_YES = {"y", "yes"}


class Approval:
    """Asks whether to apply a plan; one per run."""

    def __init__(self, stop: Stop, *, hide_display: Callable[[], AbstractContextManager[None]], shows_plan: bool) -> None:
        """
        Ask until *stop* is closed.

        Args:
            stop: Ends the question.
            hide_display: Hides the progress display within its block.
            shows_plan: Whether the plan is on stdout already.
        """
        self._stop = stop
        self._hide_display = hide_display
        self._shows_plan = shows_plan
        # click looks up the running command by greenlet, and the plan is made in another one.
        self._command = click.get_current_context()

    def ask(self, plan: Plan) -> None:
        """
        Return if *plan* may be applied.

        Raises:
            NotApprovedError: The answer is not yes.
            StoppedError: A signal or a time limit came first.
        """
        with self._hide_display(), self._command.scope(cleanup=False):
            if not self._shows_plan:
                _print_plan(plan)
            discard_typed(sys.stdin)
            click.echo("Apply these changes? [y/N] ", err=True, nl=False)
            self._stop.is_idle = True
            answer = read_answer(sys.stdin, lambda: self._stop.is_closed)
            self._stop.is_idle = answer is None
            if not answer:
                # Neither Ctrl-C nor Ctrl-D ends the line.
                click.echo(err=True)
        if answer is None:
            raise StoppedError(f"stopped before the plan was approved: {self._stop.reason}; nothing was changed")
        if answer.strip().lower() not in _YES:
            raise NotApprovedError("Not applied. Nothing was changed.")


def _print_plan(plan: Plan) -> None:
    """Print *plan* to stderr, since stdout is for the report."""
    from imgsync.cli.redact import redact_plan
    from imgsync.render.plan_table import PlanView, render_plan_table

    print_note(render_plan_table(redact_plan(plan), PlanView(has_all=False, layout=choose_layout(sys.stderr))))
