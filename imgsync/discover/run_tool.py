"""
Run helm or kubectl on untrusted input.

The program gets an empty environment and no input. Its time, output and memory are limited, and it is killed with every process that it started.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from imgsync.concurrency.run_program import DEFAULT_LIMITS, ProgramError, ProgramLimits, Surroundings, find_program, run_program
from imgsync.text.sanitize import sanitize_message

__all__ = ["DEFAULT_LIMITS", "ToolError", "ToolLimits", "clean_stderr", "find_tool", "run_tool"]

ToolError = ProgramError
ToolLimits = ProgramLimits

_SHOWN_LINES = 3
_SHOWN_CHARACTERS = 600
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b.?")
# What says nothing about the error.
_PADDING = ("Use --debug", "WARNING:", "level=", "# Warning:")
# Port 9 discards what it gets, and nothing listens there: a request of the program fails.
_NO_PROXY_ANSWERS = "http://127.0.0.1:9"
# What to do about a program that was stopped, by the limit.
_HINTS = {
    "start": "run `{name} version` by hand",
    "seconds": "run {name} by hand, and give imgsync what it prints",
    "output_bytes": "discover its parts one at a time",
    "memory_bytes": "it may loop",
}


def find_tool(name: str, *, path: str, needed_for: str) -> str:
    """
    Return the path of the program *name*.

    Relative folders of *path* are skipped: they may be those of the checkout.

    Args:
        name: The program.
        path: Folders, as in the variable PATH.
        needed_for: What the program does for imgsync, for the error.

    Raises:
        ToolError: It is not installed.
    """
    found = find_program(name, path=path)
    if found is None:
        hint = f"install {name}, or render elsewhere and give the result to `imgsync discover -`"
        raise ToolError(f"{name} is not on PATH; imgsync needs it to {needed_for}", hint=hint)
    return found


def run_tool(program: str, arguments: Sequence[str], *, limits: ToolLimits = DEFAULT_LIMITS) -> bytes:
    """
    Return what *program* prints to stdout.

    Args:
        program: An absolute path.
        arguments: Its arguments; paths in them are absolute.
        limits: What it may use.

    Raises:
        ToolError: It cannot be run, exceeds a limit, or fails.
    """
    with tempfile.TemporaryDirectory(prefix="imgsync-") as folder:
        surroundings = Surroundings(folder, _make_environment(folder), stops_at_signals=True)
        try:
            return run_program(program, arguments, surroundings, limits=limits)
        except ProgramError as error:
            error.hint = error.hint or _HINTS.get(error.limit, "").format(name=Path(program).name)
            raise


def _make_environment(folder: str) -> dict[str, str]:
    """Return an environment without credentials, plugins, repositories or network."""
    (Path(folder) / "bin").mkdir()
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NO_PROXY_ANSWERS)
    # Without git on its PATH, kustomize cannot clone a repository.
    return {"HOME": folder, "TMPDIR": folder, "PATH": f"{folder}/bin", "LC_ALL": "C", "KUBECONFIG": os.devnull, "HELM_NO_PLUGINS": "1", **proxies}


def clean_stderr(text: str) -> str:
    """Return an error in one line, without escape sequences and padding."""
    lines = [line.strip() for line in _ESCAPES.sub("", text).splitlines()]
    kept = [line for line in lines if line and not line.startswith(_PADDING)]
    said = "; ".join(kept[:_SHOWN_LINES]).removeprefix("Error: ").removeprefix("error: ")
    if len(said) > _SHOWN_CHARACTERS:
        # The cause is at the end.
        said = f"{said[: _SHOWN_CHARACTERS // 2]} … {said[-_SHOWN_CHARACTERS // 2 :]}"
    return sanitize_message(said, limit=2 * _SHOWN_CHARACTERS) or "no message"
