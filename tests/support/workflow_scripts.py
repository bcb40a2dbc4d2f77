"""Run the scripts of CI workflows as CI would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.canary import run_watched


@dataclass(frozen=True, slots=True)
class Script:
    """A script: its place, text, and the variables of its step."""

    name: str
    text: str
    env: Mapping[str, str]

    def run(self, folder: Path, *, env: Mapping[str, str], programs: Path) -> subprocess.CompletedProcess[str]:
        """
        Run the script in *folder* as CI runners do, with `bash -eo pipefail`.

        *env* is the whole environment except PATH, HOME and the files of a runner; *programs* comes first on PATH.
        """
        temporary = folder / "runner-temp"
        temporary.mkdir(exist_ok=True)
        own = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "RUNNER_TEMP": str(temporary),
            "GITHUB_OUTPUT": str(temporary / "output"),
            "GITHUB_STEP_SUMMARY": str(temporary / "summary"),
        }
        file = temporary / "script.sh"
        file.write_text(self.text, encoding="utf-8")
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)]
        return run_watched(command, cwd=folder, env=own | dict(env))


def github_scripts(file: Path) -> Iterator[Script]:
    """Give every `run:` of a workflow or composite action, named JOB/STEP."""
    document = _read(file)
    jobs = document.get("jobs") or {"action": document.get("runs", {})}
    for job_name, job in jobs.items():
        for step in job["steps"]:
            if "run" in step:
                yield Script(f"{job_name}/{step.get('name', step['run'])}", step["run"], step.get("env", {}))


def gitlab_scripts(file: Path) -> Iterator[Script]:
    """Give the script of every job, named as the job."""
    for name, job in _read(file).items():
        if isinstance(job, dict) and "script" in job:
            yield Script(name, "\n".join(job["script"]) + "\n", job.get("variables", {}))


def before_script(file: Path) -> Script:
    """Return what a GitLab pipeline runs before each job."""
    return Script("before", "\n".join(_read(file)["default"]["before_script"]) + "\n", {})


def script_of(file: Path, name: str) -> Script:
    """Return one script of *file* by its name."""
    scripts = gitlab_scripts(file) if file.name == ".gitlab-ci.yml" else github_scripts(file)
    return next(script for script in scripts if script.name == name)


def program(folder: Path, name: str, text: str) -> Path:
    """Write a stand-in program *name*; return the folder for PATH."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
    return folder


def _read(file: Path) -> dict[str, Any]:
    # BaseLoader: `on` is a word, and every value is text.
    document: dict[str, Any] = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return document
