"""
Convert `tags` of dregsy.

A tag is selected if it is listed or matches any `semver:` or `regex:`. It must also match every `keep:`.
Source: internal/pkg/tags of dregsy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from imgsync.convert.input_file import Node
from imgsync.convert.regex_to_globs import convert_to_globs
from imgsync.convert.regexes import drop_captures, match_whole
from imgsync.convert.version_ranges import convert_by_precedence
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.filters.versions import parse_version
from imgsync.oci.spec.reference import is_tag

_LATEST = re.compile(r"keep:\s+latest\s+([0-9]{1,9})")
# dregsy reads `1.36` and `1.36.0-musl` as versions, but not `1.36-musl`.
_VERSION = r"(v?\d+(?:\.\d+){0,2}|v?\d+\.\d+\.\d+-.+)"
_WRITE_EXCLUDE = "write globs into `exclude` of `tags`"


@dataclass(slots=True)
class _Rules:
    """The entries of `tags`, by kind."""

    names: list[str] = field(default_factory=list)
    filters: list[TagFilter] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    regex: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    latest: Node | None = None
    limit: int = 0
    # Whether an entry that selects tags was skipped. Then an empty selection does not mean every tag.
    has_skipped: bool = False


def read_line_search(node: Node, pattern: str) -> str | None:
    """Anchor *pattern*; report an error if invalid."""
    # dregsy adds each of the two only where it is missing.
    search = f"{'' if pattern.startswith('^') else '^'}{pattern}{'' if pattern.endswith('$') else '$'}"
    try:
        compile_expression(search)
    except ValueError as error:
        node.report_error(str(error))
        return None
    return search


def read_tags(mapping: Node) -> list[TagFilter]:
    """
    Return filters whose union is the selection of *mapping*.

    Returns:
        One filter for all tags if the mapping selects none; an empty list if imgsync cannot express the selection.
    """
    tags = mapping.get("tags")
    if tags is None or not tags.value:
        return [TagFilter()]
    rules = _Rules()
    for node in tags.read_items():
        _read_rule(node, rules)
    filters = [TagFilter(semver=tuple(rules.ranges), extract=(_VERSION,), prereleases=True)] if rules.ranges else []
    filters += rules.filters
    if rules.regex:
        filters.append(TagFilter(regex=tuple(rules.regex)))
    if not filters and not rules.names:
        if rules.has_skipped:
            return []
        filters = [TagFilter()]
    filters = _apply_limit([_apply_keep(one, rules, tags) for one in filters], rules)
    if rules.names:
        filters = [replace(filters[0], names=tuple(rules.names)), *filters[1:]] if filters else [TagFilter(names=tuple(rules.names))]
    return filters if len(filters) == 1 else [replace(one, at_least=0) for one in filters]


def _read_rule(node: Node, rules: _Rules) -> None:
    text = node.read_text().strip()
    latest = _LATEST.fullmatch(text)
    if latest is not None:
        rules.latest, rules.limit = node, int(latest[1])
    elif text.startswith("semver:"):
        _read_range(node, text.removeprefix("semver:"), rules)
    elif text.startswith("regex:"):
        _read_regex(node, text.removeprefix("regex:").strip(), rules)
    elif text.startswith("keep:"):
        _read_keep(node, text.removeprefix("keep:").strip(), rules)
    elif "sha256:" in text:
        rules.has_skipped = True
        node.report_lost("imgsync mirrors tags, not digests; the image is skipped", hint="copy it once: imgsync copy REPOSITORY@DIGEST DESTINATION:TAG")
    elif is_tag(text):
        rules.names.append(text)
    else:
        node.report_error("expected a tag or a filter", hint="a filter starts with semver:, regex: or keep:")


def _read_range(node: Node, text: str, rules: _Rules) -> None:
    try:
        found = convert_by_precedence(text.strip(), partial="any")
    except ValueError as error:
        node.report_lost(f"{error}; its tags are skipped")
        rules.has_skipped = True
        return
    rules.ranges.append(found)


def _read_regex(node: Node, text: str, rules: _Rules) -> None:
    search = read_line_search(node, text.removeprefix("!"))
    if search is None:
        return
    if not text.startswith("!"):
        rules.regex.append(match_whole(search))
        return
    denied = convert_to_globs(search, crossing=False)
    if denied is None:
        node.report_lost("globs cannot express this; the tags it selects are skipped", hint=_WRITE_EXCLUDE)
        rules.has_skipped = True
        return
    rules.filters.append(TagFilter(exclude=denied))


def _read_keep(node: Node, text: str, rules: _Rules) -> None:
    search = read_line_search(node, text.removeprefix("!"))
    if search is None:
        return
    if not text.startswith("!"):
        rules.keep.append(match_whole(search))
        return
    denied = convert_to_globs(search, crossing=False)
    if denied is None:
        node.report_lost("globs cannot express this; the tags it drops are mirrored", hint=_WRITE_EXCLUDE)
    rules.exclude += denied or ()


def _apply_keep(one: TagFilter, rules: _Rules, tags: Node) -> TagFilter:
    """Add each `keep:` to the filter *one*."""
    # A filter has two fields that must both match: `regex` and `extract`.
    remaining = list(rules.keep)
    regex, extract = one.regex, one.extract
    if remaining and not regex:
        regex = (remaining.pop(0),)
    if remaining and not extract:
        extract = (f"({drop_captures(remaining.pop(0))})",)
    if remaining:
        tags.report_lost("imgsync cannot combine that many expressions; more tags are mirrored", hint=f"skipped: {', '.join(remaining)}")
    return replace(one, regex=regex, extract=extract, exclude=(*one.exclude, *rules.exclude))


def _apply_limit(filters: list[TagFilter], rules: _Rules) -> list[TagFilter]:
    """Add `keep: latest` to the filters."""
    # dregsy counts versions over the whole selection, and keeps all tags that are not versions.
    if rules.latest is None or rules.limit == 0:
        return filters
    if any(parse_version(name) is not None for name in rules.names):
        rules.latest.report_lost("dregsy counts exact tags among the latest; imgsync adds them")
    if len(filters) == 1 and filters[0].semver:
        return [replace(filters[0], newest=rules.limit)]
    if filters:
        rules.latest.report_lost("the limit counts each part of the selection, and drops tags that are not versions first")
    return [replace(one, newest=rules.limit, prereleases=True) for one in filters]
