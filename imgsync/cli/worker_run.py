"""
Start a worker: check its settings, then become Celery's worker.

Celery patches the sockets before anything else is imported, if its own command line says `-P gevent`. So it is started by that.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from imgsync.cli.broker import find_broker, require_queue_extra
from imgsync.cli.options import is_on_command_line
from imgsync.config.load import load_config
from imgsync.config.model import BROKER_PART

VARIABLE = "IMGSYNC_WORKER"
_OPTIONS = ("--without-gossip", "--without-mingle", "--without-heartbeat")


def start_worker(paths: Sequence[str], options: Mapping[str, Any]) -> int:
    """
    Replace this process by Celery's worker; return only on failure.

    Raises:
        ConfigError: A file is invalid.
        UsageError: Celery is not installed, or the broker is not named as it must be.
    """
    require_queue_extra()
    config = load_config(paths, registries=options["registries"], environ=os.environ)
    config.registries.raise_if_unset(BROKER_PART)
    find_broker(options["broker"], config.registries.broker, is_argument=is_on_command_line("broker"))
    given = {name: options[name] for name in ("registries", "broker", "queue", "drain", "grace", "log_format", "log_level")}
    environ = {**os.environ, VARIABLE: json.dumps({**given, "paths": list(paths)})}
    name = f"imgsync-{os.getpid()}@%h"
    command = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "--app",
        "imgsync.cli.worker_app",
        "worker",
        "--pool",
        "gevent",
        *_OPTIONS,
        "--hostname",
        name,
    ]
    os.execve(sys.executable, command, environ)  # noqa: S606 - no shell; the program is this interpreter
    return 1
