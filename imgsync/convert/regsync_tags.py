"""Convert `tags` and `tagSets` of regsync."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from imgsync.convert.expressions import Denied, convert_denied, convert_names, read_search
from imgsync.convert.input_file import Node
from imgsync.convert.regexes import match_whole
from imgsync.convert.version_ranges import NO_VERSION, convert_by_precedence
from imgsync.filters.tags import TagFilter, has_only_names, select_tags

# The tag under which cosign stores the signature of an image.
SIGNATURE_TAG = f"sha256-{'0' * 64}.sig"
_LOOSE_VERSIONS = "regsync also counts 1.2.3.4 as a version in a range, imgsync does not"

_CONDITION = re.compile(r"(?:\^|~|>=|<=|>|<|=)?v?[0-9]+(?:\.[0-9]+)*(?:-[^+]*)?(?:\+.*)?")


def read_tags(step: Node) -> list[TagFilter]:
    """
    Return filters whose union is the selection of *step*.

    Returns:
        One filter for all tags if the step selects none; an empty list if imgsync cannot express the selection.
    """
    sets = step.get("tagSets")
    nodes = sets.read_items() if sets is not None else []
    tags = step.get("tags")
    if tags is not None and tags.value:
        nodes.append(tags)
    if not nodes:
        return [TagFilter()]
    filters = [one for node in nodes for one in _read_set(node)]
    # A part of a selection may be empty.
    return filters if len(filters) == 1 else [replace(one, at_least=0) for one in filters]


def selects_tag(tags: TagFilter, tag: str) -> bool:
    """Return whether *tags* would select *tag*."""
    if has_only_names(tags):
        return tag in tags.names
    return tag in select_tags([tag], tags, created_at=lambda _: {}, now=datetime.now(UTC)).tags


def read_denied(rules: Node, *, crossing: bool) -> Denied:
    """Return what `deny` of *rules* denies."""
    deny = rules.get("deny")
    return convert_denied([read_search(node) for node in deny.read_items()] if deny is not None else [], crossing=crossing)


def _read_set(node: Node) -> list[TagFilter]:
    node.check_keys(("allow", "deny", "semverRange"))
    allow, ranges = node.get("allow"), node.get("semverRange")
    allowed = [read_search(item) for item in allow.read_items()] if allow is not None else []
    denied = read_denied(node, crossing=False)
    has_ranges = ranges is not None and bool(ranges.value)
    names = convert_names(allowed, allow) if allow is not None and not has_ranges else None
    kept = tuple(name for name in names or () if not denied.matches(name))
    if kept:
        return [TagFilter(names=kept)]
    base = TagFilter(regex=tuple(match_whole(search) for search in allowed), exclude=denied.globs, exclude_regex=denied.expressions)
    if ranges is None or not has_ranges:
        return [base]
    found = [text for item in ranges.read_items() if (text := _read_range(item)) is not None]
    if not found:
        return []
    ranges.report_note(_LOOSE_VERSIONS)
    return [replace(base, semver=tuple(found), prereleases=True, exclude=(*base.exclude, NO_VERSION))]


def _read_range(node: Node) -> str | None:
    text = node.read_text()
    if not text.strip() or not all(_CONDITION.fullmatch(part) for part in text.split()):
        node.report_lost(f"regsync refuses the range {text!r}; its tags are skipped", hint="regsync reads conditions such as `>=1.2 <2`, `^1.2` and `~1.2.3`")
        return None
    try:
        return convert_by_precedence(text, partial="zero")
    except ValueError as error:
        node.report_lost(f"{error}; its tags are skipped")
        return None
