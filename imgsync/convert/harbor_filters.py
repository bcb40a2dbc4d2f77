"""
Convert the filters of a replication rule.

Patterns are those of doublestar: `*`, `?`, `[a-z]`, `{a,b}`, and `**` as a whole part of a path.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import Any

from imgsync.convert.input_file import Node
from imgsync.convert.regexes import match_whole
from imgsync.filters.globs import compile_expression, compile_glob
from imgsync.oci.spec.reference import is_tag
from imgsync.system.dataclass import dataclass

_EXPRESSION = "regex:"
_BRACES = re.compile(r"\{([^{}]*)\}")
_MAX_PATTERNS = 256


@dataclass(frozen=True, slots=True)
class NamePatterns:
    """Globs of repository paths, or one expression."""

    globs: tuple[str, ...] = ("**",)
    expression: str = ""


@dataclass(slots=True)
class TagPatterns:
    """The tag filters of a rule."""

    names: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    regex: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    exclude_regex: tuple[str, ...] = field(default=())


def read_patterns(rule: Node) -> tuple[NamePatterns | None, TagPatterns | None]:
    """Return the patterns of names and tags, None if impossible."""
    names: NamePatterns | None = NamePatterns()
    tags: TagPatterns | None = TagPatterns()
    filters = rule.get("filters")
    for node in filters.read_items() if filters is not None else []:
        node.check_keys(("type", "value", "decoration"))
        kind, value = node.get("type"), node.get("value")
        if kind is None or value is None or value.value in ("", []):
            continue
        match kind.read_text():
            case "name":
                names = _read_names(value)
            case "tag" if tags is not None:
                tags = _read_tags(node, value, tags)
            case "resource":
                _read_resource(value)
            case "label":
                value.report_lost("imgsync cannot select by label; the rule is skipped", hint="select by tag, for example with `include`")
                tags = None
            case "tag":
                continue
            case other:
                kind.report_error(f"unknown filter {other!r}", hint="use name, tag, label or resource")
    return names, tags


def _read_resource(value: Node) -> None:
    if value.value == "image":
        value.report_lost("imgsync also copies the selected tags that are not images, such as charts")


def _read_names(value: Node) -> NamePatterns | None:
    text = value.read_text()
    if text.startswith(_EXPRESSION):
        expression = _read_expression(value, text)
        return NamePatterns((), expression) if expression else None
    globs = _expand_pattern(value, text)
    return NamePatterns(globs) if globs else None


def _read_tags(node: Node, value: Node, tags: TagPatterns) -> TagPatterns | None:
    text, decoration = value.read_text(), node.get("decoration")
    excludes = decoration is not None and decoration.value == "excludes"
    found: tuple[Any, ...]
    if text.startswith(_EXPRESSION):
        found = (_read_expression(value, text),)
        name = "exclude_regex" if excludes else "regex"
    else:
        found = tuple(one.replace("**", "*") for one in _expand_pattern(value, text))
        name = "exclude" if excludes else "names" if found and all(is_tag(one) for one in found) else "include"
    if not found or not all(found):
        return None
    if not excludes and (tags.names or tags.include or tags.regex):
        value.report_error("imgsync cannot require two tag patterns at once", hint="write one pattern, such as {v1,v2}.*")
        return None
    setattr(tags, name, (*getattr(tags, name), *found))
    if tags.names and (tags.exclude or tags.exclude_regex):
        # Excluded names would still be added.
        tags.include, tags.names = (*tags.include, *tags.names), ()
    return tags


def _read_expression(value: Node, text: str) -> str:
    expression = text.removeprefix(_EXPRESSION)
    try:
        compile_expression(expression)
    except ValueError as error:
        value.report_error(str(error))
        return ""
    return match_whole(expression)


def _expand_pattern(value: Node, text: str) -> tuple[str, ...]:
    """Return the globs of *text*; report an error if impossible."""
    try:
        globs = tuple(dict.fromkeys(_limit_stars(one) for one in _expand_braces(text)))
        for glob in globs:
            compile_glob(glob)
    except ValueError as error:
        value.report_error(f"imgsync cannot express the pattern {text!r}: {error}")
        return ()
    return globs


def _expand_braces(text: str) -> list[str]:
    if "\\" in text:
        raise ValueError("it has a backslash")
    patterns, done = [text], []
    while patterns:
        pattern = patterns.pop()
        found = _BRACES.search(pattern)
        if found is None:
            done.append(pattern)
        else:
            patterns += [f"{pattern[: found.start()]}{one}{pattern[found.end() :]}" for one in reversed(found[1].split(","))]
        if len(patterns) + len(done) > _MAX_PATTERNS:
            raise ValueError(f"it stands for more than {_MAX_PATTERNS} patterns")
    if any(set(one) & {"{", "}"} for one in done):
        raise ValueError("a brace is not closed")
    return done


def _limit_stars(glob: str) -> str:
    # `**` crosses `/` only as a whole part; elsewhere it is `*`.
    return "/".join(part if part == "**" else re.sub(r"\*{2,}", "*", part) for part in glob.split("/"))
