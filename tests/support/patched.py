"""Run a script in a process whose sockets gevent has patched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_PATCHED = "from imgsync.__main__ import _patch_sockets; _patch_sockets()\nimport json, sys\n"


def run_patched(script: str, *arguments: object, timeout: float = 60) -> Any:
    """Run *script* with *arguments*; return the JSON that it prints."""
    command = [sys.executable, "-c", _PATCHED + textwrap.dedent(script), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=_ROOT, env=environment, capture_output=True, text=True, check=False, timeout=timeout)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
