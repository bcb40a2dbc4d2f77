"""
Collect the figures of long tests for docs/reliability.md.

`record` appends to the file that IMGSYNC_FIGURES names, and does nothing if it is unset.
`python -m tests.figures PART FILE` writes the figures into the page, between the two markers of that part.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"


def record(measure: str, value: float | str, *, unit: str = "", note: str = "") -> None:
    """Append one figure; *note* says how it was measured."""
    if path := os.environ.get("IMGSYNC_FIGURES"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"measure": measure, "value": value, "unit": unit, "note": note}) + "\n")


def table(lines: list[str]) -> str:
    """
    Return the figures of JSON *lines* as a sorted Markdown table.

    If a figure was measured twice, the last one counts.
    """
    figures = {figure["measure"]: figure for figure in map(json.loads, lines)}
    rows = [f"| {name} | {_number(f['value'])}{' ' + f['unit'] if f['unit'] else ''} | {f['note']} |" for name, f in sorted(figures.items())]
    return "\n".join(["| measure | figure | how |", "|---|---|---|", *rows])


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def main(part: str, path: str) -> None:
    """
    Write the figures of the file *path* into *part* of the page.

    The line above the table has the date, the commit and the machine.
    """
    begin, end = f"<!-- figures of {part}: begin -->", f"<!-- figures of {part}: end -->"
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    before, found, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        sys.exit(f"{PAGE} has no markers for the figures of {part}")
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=PAGE.parent, capture_output=True, text=True, check=True).stdout.strip()
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    where = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, commit `{commit}`; {machine}."
    PAGE.write_text(f"{before}{begin}\n\n{where}\n\n{table(lines)}\n\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
