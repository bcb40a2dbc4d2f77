"""dregsy's `tags`: exact ones, `semver:` and `regex:` of which any will do, then `keep:` which all have to let pass. Facts: internal/pkg/tags of dregsy."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from imgsync.convert.patterns import globs, whole_match, without_groups
from imgsync.convert.ranges import by_precedence
from imgsync.convert.reading import Piece
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter
from imgsync.filters.versions import parse_version
from imgsync.oci.spec.reference import is_tag

_LATEST = re.compile(r"keep:\s+latest\s+([0-9]{1,9})")
# To dregsy `1.36-musl` is no version, where `1.36.0-musl` is one and `1.36` another.
_VERSION_SHAPE = r"(v?\d+(?:\.\d+){0,2}|v?\d+\.\d+\.\d+-.+)"
_LOOSE = "dregsy also counts 2024.01 (a leading zero) as a version, imgsync does not"


@dataclass(slots=True)
class _Wanted:
    """What the list says, kind by kind."""

    names: list[str] = field(default_factory=list)
    filters: list[TagFilter] = field(default_factory=list)
    regex: list[str] = field(default_factory=list)
    keep: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    latest: Piece | None = None
    limit: int = 0
    only_digests: bool = False


def line_search(piece: Piece, pattern: str) -> str | None:
    """Return *pattern* between `^` and `$`, which dregsy adds where they are missing; None, and a fault, when it is no expression."""
    search = f"{'' if pattern.startswith('^') else '^'}{pattern}{'' if pattern.endswith('$') else '$'}"
    try:
        compile_expression(search)
    except ValueError as error:
        piece.fault(str(error))
        return None
    return search


def read_tags(mapping: Piece) -> list[TagFilter]:
    """Return the filters whose union is what *mapping* selects; none when nothing of it can be said."""
    tags = mapping.get("tags")
    if tags is None or not tags.value:
        return [TagFilter()]
    wanted = _Wanted()
    for piece in tags.items():
        _read(piece, wanted)
    filters = list(wanted.filters)
    if wanted.regex:
        filters.append(TagFilter(regex=tuple(wanted.regex)))
    if not filters and not wanted.names:
        if wanted.only_digests:
            return []
        filters = [TagFilter()]
    filters = [_kept(one, wanted, tags) for one in filters]
    filters = _limited(filters, wanted)
    if wanted.names:
        filters = [replace(filters[0], names=tuple(wanted.names)), *filters[1:]] if filters else [TagFilter(names=tuple(wanted.names))]
    return filters if len(filters) == 1 else [replace(one, at_least=0) for one in filters]


def _read(piece: Piece, wanted: _Wanted) -> None:
    text = piece.text().strip()
    latest = _LATEST.fullmatch(text)
    if latest is not None:
        wanted.latest, wanted.limit = piece, int(latest[1])
    elif text.startswith("semver:"):
        _read_versions(piece, text.removeprefix("semver:"), wanted)
    elif text.startswith("regex:"):
        _read_expression(piece, text.removeprefix("regex:").strip(), wanted)
    elif text.startswith("keep:"):
        _read_keep(piece, text.removeprefix("keep:").strip(), wanted)
    elif "sha256:" in text:
        wanted.only_digests = True
        piece.lost("images are declared by tag, not by digest; it is left out", hint="copy it once: imgsync copy REPOSITORY@DIGEST DESTINATION:TAG")
    elif is_tag(text):
        wanted.names.append(text)
    else:
        piece.fault("this is neither a tag nor a filter", hint="filters begin with semver:, regex: or keep:")


def _read_versions(piece: Piece, text: str, wanted: _Wanted) -> None:
    try:
        slices = by_precedence(text.strip(), short=False, partial="any")
    except ValueError as error:
        piece.lost(f"{error}; what it selects is left out")
        wanted.only_digests = True
        return
    piece.note(_LOOSE)
    for one in slices:
        wanted.filters.append(TagFilter(semver=(one.text,), extract=(_VERSION_SHAPE,), exclude=one.exclude, prereleases=True))
        if one.edges:
            wanted.filters.append(TagFilter(include=one.edges))


def _read_expression(piece: Piece, text: str, wanted: _Wanted) -> None:
    search = line_search(piece, text.removeprefix("!"))
    if search is None:
        return
    if not text.startswith("!"):
        wanted.regex.append(whole_match(search))
        return
    denied = globs(search, crossing=False)
    if denied is None:
        piece.lost("no glob says what this takes away; what it selects is left out", hint="write globs into `exclude` of the tags")
        wanted.only_digests = True
        return
    wanted.filters.append(TagFilter(exclude=denied))


def _read_keep(piece: Piece, text: str, wanted: _Wanted) -> None:
    search = line_search(piece, text.removeprefix("!"))
    if search is None:
        return
    denied = globs(search, crossing=False) if text.startswith("!") else None
    if not text.startswith("!"):
        wanted.keep.append(whole_match(search))
    elif denied is None:
        piece.lost("no glob says the same; the tags it takes away are mirrored", hint="write globs into `exclude` of the tags")
    else:
        wanted.exclude += denied


def _kept(one: TagFilter, wanted: _Wanted, tags: Piece) -> TagFilter:
    """Return *one* with each `keep:` put where it is asked besides the rest: a filter has two places for an expression."""
    left = list(wanted.keep)
    regex, extract = one.regex, one.extract
    if left and not regex:
        regex = (left.pop(0),)
    if left and not extract:
        extract = (f"({without_groups(left.pop(0))})",)
    if left:
        tags.lost("so many expressions cannot all be asked of one tag; more tags are mirrored", hint=f"left out: {', '.join(left)}")
    return replace(one, regex=regex, extract=extract, exclude=(*one.exclude, *wanted.exclude))


def _limited(filters: list[TagFilter], wanted: _Wanted) -> list[TagFilter]:
    """Return *filters* with `keep: latest` carried over: it counts versions over the whole selection, and leaves what is no version alone."""
    if wanted.latest is None or wanted.limit == 0:
        return filters
    if any(parse_version(name) is not None for name in wanted.names):
        wanted.latest.lost("dregsy counts exact tags among the latest; here they come on top")
    if len(filters) == 1 and filters[0].semver:
        return [replace(filters[0], newest=wanted.limit)]
    versions = [one for one in filters if one.semver]
    if not filters:
        return []
    if len(versions) == 1 and all(one.include for one in filters if one is not versions[0]):
        wanted.latest.lost("pre-releases at the upper end of the range are left out, for the count is over all")
        return [replace(versions[0], newest=wanted.limit)]
    wanted.latest.lost("the count is taken of each part of the selection, and tags that are no versions come last and fall away")
    return [replace(one, newest=wanted.limit) for one in filters]
