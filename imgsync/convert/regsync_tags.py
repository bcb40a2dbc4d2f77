"""Convert `tags` and `tagSets` of regsync."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from imgsync.convert.input_file import Node
from imgsync.convert.regex_to_globs import convert_to_globs, convert_to_name
from imgsync.convert.regexes import anchor, match_whole
from imgsync.convert.version_ranges import convert_by_precedence
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter, has_only_names, select_tags

# The tag under which cosign stores the signature of an image.
SIGNATURE_TAG = f"sha256-{'0' * 64}.sig"
_LOOSE_VERSIONS = "regsync also counts 1.2.3.4 as a version in a range, imgsync does not"


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


def read_search(node: Node) -> str:
    """Return the anchored expression; report an error if invalid."""
    search = anchor(node.read_text())
    try:
        compile_expression(search)
    except ValueError as error:
        node.report_error(str(error))
        return anchor("")
    return search


def read_denied(rules: Node, *, crossing: bool, items: str, block: str) -> tuple[str, ...]:
    """
    Return the expressions in `deny` as globs.

    Those that globs cannot express are reported as lost.

    Args:
        rules: The node that has `deny`.
        crossing: Whether `.*` matches `/`.
        items: What is denied, for remarks: "tags" or "repositories".
        block: Where imgsync has `exclude`, for remarks: "tags" or "source".
    """
    denied: list[str] = []
    deny = rules.get("deny")
    for node in deny.read_items() if deny is not None else []:
        globs = convert_to_globs(read_search(node), crossing=crossing)
        if globs is None:
            node.report_lost(f"globs cannot express this; the denied {items} are mirrored", hint=f"write globs into `exclude` of `{block}`")
        denied += globs or ()
    return tuple(dict.fromkeys(denied))


def _read_set(node: Node) -> list[TagFilter]:
    node.check_keys(("allow", "deny", "semverRange"))
    allow = node.get("allow")
    allowed = [read_search(item) for item in allow.read_items()] if allow is not None else []
    denied = read_denied(node, crossing=False, items="tags", block="tags")
    names = [convert_to_name(search) for search in allowed]
    ranges = node.get("semverRange")
    if allowed and not denied and all(names) and not (ranges is not None and ranges.value):
        return [TagFilter(names=tuple(dict.fromkeys(name for name in names if name)))]
    base = TagFilter(regex=tuple(match_whole(search) for search in allowed), exclude=denied)
    if ranges is None or not ranges.value:
        return [base]
    found = [text for item in ranges.read_items() if (text := _read_range(item)) is not None]
    if not found:
        return []
    ranges.report_note(_LOOSE_VERSIONS)
    return [replace(base, semver=tuple(found), prereleases=True)]


def _read_range(node: Node) -> str | None:
    try:
        return convert_by_precedence(node.read_text(), partial="zero")
    except ValueError as error:
        node.report_lost(f"{error}; its tags are skipped")
        return None
