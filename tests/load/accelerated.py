"""
Run the loop of `imgsync serve` through many days within minutes.

    python -m tests.load.accelerated FILE FROM HOURS SOURCE

The loop, the runs and the registries are real; only the clock is not: whenever the loop waits and nothing runs, the time has passed at once. Before each run
it moves half of the source's tags. It appends a line of JSON to FILE for each run: the moment, and what the process holds.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

_PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
_DAY_SECONDS = 86400.0


class QuickClock:
    """A clock that a program moves."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.passed = 0.0

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        return self.passed


def main(path: str, start: str, hours: int, source: str) -> None:
    """Serve the declarations of the working folder for so many hours."""
    from imgsync.__main__ import _patch_sockets

    _patch_sockets()
    import click

    from imgsync.text.redaction import Redaction

    with click.Context(click.Command("serve"), obj=Redaction()).scope():
        _serve(Path(path), datetime.fromisoformat(start).replace(tzinfo=UTC), hours, source)


def _serve(path: Path, start: datetime, hours: int, source: str) -> None:
    from imgsync.cli.options import CommonOptions
    from imgsync.cli.output import get_redaction
    from imgsync.cli.serve_run import make_run_id
    from imgsync.cli.serve_runner import RunSettings, ServeRunner
    from imgsync.cli.session import open_log
    from imgsync.config.load import load_config
    from imgsync.config.schedule import Schedule
    from imgsync.plan.safety import SafetyLimits
    from imgsync.serve import service
    from imgsync.serve.agenda import Agenda
    from imgsync.serve.declarations.folder import FolderFollower
    from imgsync.serve.declarations.watch import DeclarationWatch
    from imgsync.serve.history import History
    from imgsync.serve.inbox import Inbox
    from imgsync.serve.live_board import LiveBoard
    from imgsync.serve.views import ConfigurationView
    from tests.support.images import request

    service._LONGEST_WAIT_SECONDS, service._BREATH_SECONDS = _DAY_SECONDS, 0.0
    clock = QuickClock(start)

    class QuickInbox(Inbox):
        def wait(self, seconds: float) -> None:
            # Beside the loop, it reads when mirrors ran before.
            if board.running is not None or not serving._knows_earlier:
                super().wait(5.0)
            elif seconds:
                # As the clock of a machine, which never tells the very moment.
                clock.passed += seconds + 0.000137
                if clock.passed > hours * 3600:
                    serving.end(1.0)

    common = CommonOptions(None, ".imgsync/state", log_level="warning", log_format="json", progress=False)
    with open_log(common) as opened:
        inbox, runner = QuickInbox(), ServeRunner(RunSettings(common, SafetyLimits(), 5.0, 60.0), opened, on_locked=lambda: None)
        history = History(Path(".imgsync/state/runs").absolute(), clean=get_redaction().clean_values, on_damaged=print)
        agenda = Agenda(every=Schedule(every_seconds=3600.0), only_plans=False, chance=random.Random(1), make_id=make_run_id)
        board = LiveBoard(agenda, history, configuration=ConfigurationView("mirrors.d"), started_at=clock.now(), only_plans=False, count_waiting=lambda: 0)
        follower = FolderFollower(["mirrors.d"], lambda paths, **_: (load_config(paths, registries=None, environ=os.environ), None))
        watch = DeclarationWatch(follower, on_poll=inbox.wake, on_error=print)
        runs = 0

        def run(order, *rest):
            nonlocal runs
            runs += 1
            request(source, "POST", f"/-/move?tags={os.environ['MOVED']}")
            result = runner.run(order, *rest)
            _tell(path, clock.now(), order, result, runs)
            return result

        parts = service.Parts(agenda, board, inbox, history, watch, run, clock, opened.log, lambda *_: {})
        serving = service.Service(parts)
        serving.use(follower.poll())
        assert serving.serve()


def _tell(path: Path, now: datetime, order, result, runs: int) -> None:
    import gevent

    gc.collect()
    told = {
        "at": now.isoformat(),
        "trigger": order.trigger.value,
        "mirrors": order.mirrors,
        "exit_code": result.exit_code,
        "copied": result.report.count("copied") if result.report is not None else 0,
        "rss_kib": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KIB,
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "greenlets": sum(isinstance(one, gevent.Greenlet) and not one.dead for one in gc.get_objects()) if runs % 10 == 1 else None,
        "objects": len(gc.get_objects()),
    }
    with path.open("a") as file:
        file.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
