"""Say how tags were chosen, and why their number is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from imgsync.config.model import Mirror
from imgsync.filters.quote_tags import quote_tags
from imgsync.plan.gone_tag import Absence
from imgsync.plan.mirror_plan import SelectedTags
from imgsync.plan.model import FilterStep, PlanError
from imgsync.plan.plan_error import make_mirror_error
from imgsync.text.units import format_count, format_subject

_ORDER = "order by "
_DROPPED = {
    "prereleases": "dropped as pre-release",
    "newest_per": "dropped without a minor release",
    "date": "dropped without a date",
}
_CHECK = "check the filters; `plan --explain` shows what each step kept"


def describe_selection(selected: Sequence[SelectedTags]) -> list[str]:
    """Return notes on the order, and on tags set aside."""
    by_step: dict[str, list[FilterStep]] = defaultdict(list)
    for step in (step for one in selected for step in one.steps):
        by_step[step.step].append(step)
    notes = [_describe_order(name, steps, len(selected)) for name, steps in sorted(by_step.items()) if name.startswith(_ORDER)]
    for name, what in _DROPPED.items():
        dropped = _list_dropped(by_step[name])
        notes += [f"{format_count(len(dropped), 'tag')} {what}: {quote_tags(dropped)}"] if dropped else []
    notes += sorted({step.remark for step in by_step["prereleases"] if step.remark})
    return notes


def make_excess_error(mirror: Mirror, count: int) -> PlanError:
    """Return the error that *count* tags are more than `at_most`."""
    message = f"{format_subject(count, 'tag')} selected, more than at_most: {mirror.tags.at_most}"
    return make_mirror_error(mirror, message, "narrow the filters, or raise at_most")


def make_shortage_error(mirror: Mirror, count: int, selected: Iterable[SelectedTags]) -> PlanError:
    """Return the error that *count* tags are fewer than `at_least`."""
    message = f"{format_subject(count, 'tag')} selected, fewer than at_least: {mirror.tags.at_least}"
    return make_mirror_error(mirror, message, _explain_shortage(selected))


def _explain_shortage(selected: Iterable[SelectedTags]) -> str:
    """Return a hint on why fewer tags than `at_least` are selected."""
    chosen = list(selected)
    emptied_lists = [tag for one in chosen for tag in one.gone if tag.reason == Absence.EMPTY_LIST]
    if emptied_lists:
        return (
            f"the source lists nothing where {format_count(len({tag.source for tag in emptied_lists}), 'tag')} came from, which stay at the destination; "
            "if it really deleted them, set `suspend: true` or `at_least: 0`"
        )
    steps = [step for one in chosen for step in one.steps]
    emptied = {step.step for step in steps if step.left == 0 and step.dropped}
    fallen = _list_dropped(step for step in steps if step.step == "prereleases")
    if emptied == {"prereleases"}:
        return f"every tag left is a pre-release ({quote_tags(fallen)}): set `prereleases: true`, or name one in the range, such as `>=1.2.0-0`"
    if emptied and emptied <= {"date", "order by date"}:
        return "none of the tags left has a date"
    return f"{_CHECK}; {format_count(len(fallen), 'tag')} dropped as pre-release" if fallen else _CHECK


def _describe_order(name: str, steps: Sequence[FilterStep], repositories: int) -> str:
    where = "" if len(steps) == repositories else f" in {format_count(len(steps), 'repository', 'repositories')}, such as {steps[0].repository}"
    dropped = _list_dropped(steps)
    remark = next((step.remark for step in steps if step.remark), "")
    aside = f"; {format_count(len(dropped), 'tag')} set aside: {quote_tags(dropped)}" if dropped else ""
    return f"newest by {name.removeprefix(_ORDER)}{where}{aside}{f' ({remark})' if remark else ''}"


def _list_dropped(steps: Iterable[FilterStep]) -> list[str]:
    return list(dict.fromkeys(tag for step in steps for tag in step.dropped))
