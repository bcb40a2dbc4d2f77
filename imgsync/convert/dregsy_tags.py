"""
Convert `tags` of dregsy.

A tag is selected if it is listed or matches any `semver:` or `regex:`. It must also match every `keep:`.
Source: internal/pkg/tags of dregsy.
"""

from __future__ import annotations

import re
from dataclasses import field, replace

from imgsync.convert.expressions import convert_denied
from imgsync.convert.input_file import Node
from imgsync.convert.regex_to_globs import convert_to_globs
from imgsync.convert.regexes import drop_captures, match_whole
from imgsync.convert.shared_remarks import report_digest
from imgsync.convert.version_ranges import convert_by_precedence
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.filters.versions import parse_version
from imgsync.oci.spec.digest import is_digest
from imgsync.oci.spec.reference import is_exact_name
from imgsync.system.dataclass import dataclass

_LATEST = re.compile(r"keep:\s+latest\s+([0-9]{1,9})")
# dregsy reads `1.36` and `1.36.0-musl` as versions, but not `1.36-musl`.
_VERSION = r"(v?\d+(?:\.\d+){0,2}|v?\d+\.\d+\.\d+-.+)"


@dataclass(slots=True)
class _Rules:
    """The entries of `tags`, by kind."""

    names: list[str] = field(default_factory=list)
    filters: list[TagFilter] = field(default_factory=list)
    ranges: list[str] = field(default_factory=list)
    regex: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
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
    elif is_digest(text):
        rules.has_skipped = True
        report_digest(node)
    elif is_exact_name(text):
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
    if search is not None and text.startswith("!"):
        denied = convert_denied([search], crossing=False)
        rules.filters.append(TagFilter(exclude=denied.globs, exclude_regex=denied.expressions))
    elif search is not None:
        rules.regex.append(match_whole(search))


def _read_keep(node: Node, text: str, rules: _Rules) -> None:
    search = read_line_search(node, text.removeprefix("!"))
    if search is not None:
        (rules.drop if text.startswith("!") else rules.keep).append(search)


def _apply_keep(one: TagFilter, rules: _Rules, tags: Node) -> TagFilter:
    """Add each `keep:` to the filter *one*."""
    denied = convert_denied(rules.drop, crossing=False)
    one = replace(one, exclude=(*one.exclude, *denied.globs), exclude_regex=(*one.exclude_regex, *denied.expressions))
    for search in rules.keep:
        # Tags must match each of these fields that is set.
        globs = convert_to_globs(search, crossing=False)
        if not one.regex:
            one = replace(one, regex=(match_whole(search),))
        elif not one.extract:
            one = replace(one, extract=(f"({drop_captures(match_whole(search))})",))
        elif not one.include and globs is not None:
            one = replace(one, include=globs)
        else:
            tags.report_error("imgsync cannot require that many expressions at once", hint="write them as one `keep:`")
            break
    return one


def _apply_limit(filters: list[TagFilter], rules: _Rules) -> list[TagFilter]:
    """Add `keep: latest` to the filters."""
    # dregsy counts versions over the whole selection, and keeps all tags that are not versions.
    if rules.latest is None or rules.limit == 0:
        return filters
    if any(parse_version(name) is not None for name in rules.names):
        rules.latest.report_error("dregsy counts exact tags among the latest, and imgsync adds them", hint="give the exact tags a mapping of their own")
        return []
    if len(filters) > 1:
        rules.latest.report_error("imgsync cannot count the latest over several filters", hint="give each filter and its `keep: latest` a mapping of its own")
        return []
    if filters and not filters[0].semver:
        rules.latest.report_lost("dregsy also keeps all tags that are not versions; imgsync skips them", hint="name them in `names`")
    return [replace(one, newest=rules.limit, prereleases=True) for one in filters]
