"""
Run each law in turn, guided by code coverage.

    python -m fuzz.run [--seconds N] [LAW …]

The exit code is 1 if a law is broken. Interesting inputs are kept in .fuzz/inputs for the next time, inputs that break a law in .fuzz/findings, and
libFuzzer's output in .fuzz/LAW.log. `make fuzz` also collects executions and seconds in .fuzz/figures.jsonl for docs/reliability.md (`tests.figures`).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

from tests.figures import record

CORPUS = Path(__file__).parent / "corpus"
_WORK = Path(__file__).parents[1] / ".fuzz"
_DONE = re.compile(r"^Done ([0-9]+)(?: runs)? in ([0-9]+) second", re.MULTILINE)
_WORDS = re.compile(rb"[A-Za-z_][A-Za-z0-9_./-]{2,40}")
_MEMORY_MB = 2048
_SLOWEST_SECONDS = 25


def fuzz(law: str, seconds: int) -> bool:
    """Search *seconds* for an input that breaks *law*; return whether it held."""
    inputs, findings, log = _WORK / "inputs" / law, _WORK / "findings", _WORK / f"{law}.log"
    for folder in (inputs, findings):
        folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={seconds}", f"-timeout={_SLOWEST_SECONDS}", f"-rss_limit_mb={_MEMORY_MB}"]
    command = [sys.executable, "-m", "fuzz.one", law, *limits, *_dictionary(law), f"-artifact_prefix={findings}/{law}-", inputs, CORPUS / law]
    with log.open("wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=_WORK.parent, check=False).returncode
    said = log.read_text(encoding="utf-8", errors="replace")
    done = _DONE.search(said)
    if code != 0 or done is None:
        print(f"{law}: broken; see {log}; the input is in {findings}\n{said[-2000:]}", flush=True)
        return False
    executions, took = int(done[1]), int(done[2])
    print(f"{law}: held in {executions:,} executions, {took} s", flush=True)
    record(f"fuzzing, {law}", executions, unit="executions", note=f"{took} s; `make fuzz`; no finding open")
    return True


def _dictionary(law: str) -> list[str]:
    """
    Write the words of the law's corpus as a libFuzzer dictionary.

    Coverage cannot find such words itself, for example keys of JSON. Returns the option for libFuzzer, or none if there are no words.
    """
    words = {word for path in (CORPUS / law).iterdir() for word in _WORDS.findall(path.read_bytes())}
    path = _WORK / f"{law}.dict"
    path.write_text("".join(f'"{word.decode()}"\n' for word in sorted(words)), encoding="ascii")
    return [f"-dict={path}"] if words else []


def main() -> int:
    """Run the laws named on the command line, or all of them."""
    names = sorted(path.name for path in CORPUS.iterdir())
    parser = argparse.ArgumentParser(prog="fuzz.run", description="Search for inputs that break a law, guided by code coverage.")
    parser.add_argument("laws", nargs="*", metavar="LAW", help=f"one of {', '.join(names)}; default: all")
    parser.add_argument("--seconds", type=int, default=600, help="seconds per law (default: 600)")
    options = parser.parse_args()
    if unknown := set(options.laws) - set(names):
        parser.error(f"unknown law {', '.join(sorted(unknown))}; choose from {', '.join(names)}")
    held = [fuzz(law, options.seconds) for law in options.laws or names]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
