"""
Run programs that each show whether a reported bug is fixed.

`make cases CASES=FOLDER` runs every program below FOLDER from the project's root. Each must exit with 0. Files that begin with `_`, and `lib.py`,
are for the programs to import. A program gets the imgsync to try in IMGSYNC_BIN and its Python in IMGSYNC_PYTHON.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_TIME_LIMIT_SECONDS = 600


def main(arguments: list[str]) -> int:
    """Run all programs of one folder; return 0 if each exits with 0."""
    folder = Path(arguments[0]) if len(arguments) == 1 else None
    programs = _list_programs(folder) if folder is not None else []
    if not programs:
        print(f"{folder} has no programs" if folder else "usage: make cases CASES=FOLDER", file=sys.stderr)
        return 2
    failed = [program for program in programs if not _run(program, program.relative_to(folder or _ROOT))]
    print(f"{len(programs) - len(failed)} of {len(programs)} cases exit with 0")
    return 1 if failed else 0


def _list_programs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if not path.name.startswith("_") and path.name != "lib.py" and "__pycache__" not in path.parts)


def _run(program: Path, name: Path) -> bool:
    """Run *program* and print how it ended; return whether it exited with 0."""
    python = Path(sys.executable)
    env = os.environ | {"IMGSYNC_BIN": str(python.with_name("imgsync")), "IMGSYNC_PYTHON": str(python), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, str(program.resolve())],
            cwd=_ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_TIME_LIMIT_SECONDS,
            check=False,
        )
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        code, output = -1, error.stdout or b""
    last = output.decode(errors="replace").strip().rpartition("\n")[2]
    ended = "ok" if code == 0 else "timeout" if code == -1 else f"exit {code}"
    print(f"{ended:<8} {time.monotonic() - began:6.1f} s  {name}{'' if code == 0 else f': {last[:300]}'}", flush=True)
    return code == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
