"""Convert intervals and cron expressions of other tools to schedules."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgsync.config.schedule import Schedule, build_schedule, check_schedule
from imgsync.convert.input_file import Node
from imgsync.text.units import format_declared_duration

_NOTE = "`imgsync serve` follows the schedule; without it, run imgsync by CI or cron"
_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_EVERY = "@every "
# As robfig/cron, which regsync and Harbor use, reads them.
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS_WITH_SECONDS = 6


def read_interval(node: Node, text: str) -> Schedule | None:
    """Return the schedule of an interval, such as `60m`."""
    return _build(node, {"every": text})


def read_seconds(node: Node) -> Schedule | None:
    """Return the schedule of an interval in seconds; None for 0."""
    seconds = node.read_int()
    return read_interval(node, format_declared_duration(seconds)) if seconds > 0 else None


def read_cron(node: Node, *, has_seconds: bool = False, hint: str = "") -> Schedule | None:
    """
    Return the schedule of a cron expression, as robfig/cron reads it.

    With *has_seconds*, its first field are seconds, which imgsync does not have. *hint* is about the result.
    """
    text = node.read_text().strip()
    zone = _ZONE.match(text)
    text = text[zone.end() :] if zone else text
    if text.startswith(_EVERY):
        return read_interval(node, text.removeprefix(_EVERY).strip())
    fields = _NAMED.get(text, text).replace("?", "*").split()
    if has_seconds and len(fields) == _FIELDS_WITH_SECONDS:
        del fields[0]
    return _build(node, {"cron": " ".join(fields)} | ({"zone": zone[1]} if zone else {}), hint=hint)


def _build(node: Node, entry: Mapping[str, str], *, hint: str = "") -> Schedule | None:
    problems = [message for _, message, _ in check_schedule(entry)]
    try:
        schedule = None if problems else build_schedule(entry)
    except ValueError as error:
        problems = [str(error)]
    if problems:
        node.report_lost(f"the schedule cannot be converted: {problems[0]}", hint="set `schedule` of the mirror yourself")
        return None
    node.report_note(_NOTE, hint=hint)
    return schedule
