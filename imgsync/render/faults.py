"""Configuration faults for people, and as annotations for GitHub Actions."""

from __future__ import annotations

from collections.abc import Iterable

from imgsync.errors import Fault
from imgsync.text.sanitize import inert, safe


def fault_lines(faults: tuple[Fault, ...], *, files: int) -> list[str]:
    """Return one line per fault and a last one that counts them."""
    count = f"{len(faults)} {'fault' if len(faults) == 1 else 'faults'}"
    bad = len({fault.file for fault in faults})
    total = max(files, bad)
    return [*(safe(str(fault)) for fault in faults), f"{count} in {bad} of {total} {'file' if total == 1 else 'files'}. Nothing was done."]


def workflow_commands(faults: Iterable[Fault]) -> list[str]:
    """Return a workflow command per fault, so that GitHub shows it beside its line."""
    found = []
    for fault in faults:
        message = f"{fault.path}: {fault.message}" if fault.path else fault.message
        text = safe(f"{message} ({fault.hint})" if fault.hint else message)
        found.append(f"::error file={_property(fault.file)},line={fault.line},col={fault.column},title=imgsync::{_data(text)}")
    return found


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(inert(text)).replace(":", "%3A").replace(",", "%2C")
