"""regsync's `tags` and `tagSets`: expressions allowed and denied, ranges of versions; a tag is wanted when one set wants it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from imgsync.convert.patterns import anchored, globs, plain_name, whole_match
from imgsync.convert.ranges import by_precedence
from imgsync.convert.reading import Piece
from imgsync.filters.globs import compile_expression
from imgsync.filters.tags import TagFilter, has_only_names, select_tags

# The tag under which cosign stores the signature of an image.
SIGNATURE = f"sha256-{'0' * 64}.sig"
_LOOSE = "regsync also counts 2024.01 (a leading zero) and 1.2.3.4 as versions, imgsync does not"


def read_tags(step: Piece) -> list[TagFilter]:
    """Return the filters whose union is what *step* selects; the whole repository when it names none, nothing when none can be said."""
    sets = step.get("tagSets")
    pieces = sets.items() if sets is not None else []
    tags = step.get("tags")
    if tags is not None and tags.value:
        pieces.append(tags)
    found = [one for piece in pieces for one in _read_set(piece)]
    if not pieces:
        return [TagFilter()]
    # One part of a selection may well be empty.
    return found if len(found) == 1 else [replace(one, at_least=0) for one in found]


def selects(tags: TagFilter, tag: str) -> bool:
    """Return whether *tags* would select *tag*."""
    if has_only_names(tags):
        return tag in tags.names
    return tag in select_tags([tag], tags, created_at=lambda _: {}, now=datetime.now(UTC)).tags


def _read_set(piece: Piece) -> list[TagFilter]:
    piece.knows(("allow", "deny", "semverRange"))
    allowed = _searches(piece, "allow")
    excluded = denied(piece, crossing=False, what="tags", of="tags")
    names = [plain_name(search) for search in allowed]
    ranges = piece.get("semverRange")
    if allowed and not excluded and all(names) and not (ranges is not None and ranges.value):
        return [TagFilter(names=tuple(dict.fromkeys(name for name in names if name)))]
    base = TagFilter(regex=tuple(whole_match(search) for search in allowed), exclude=excluded)
    if ranges is None or not ranges.value:
        return [base]
    filters = [one for item in ranges.items() for one in _within(item, base)]
    if filters:
        ranges.note(_LOOSE)
    return filters


def _within(piece: Piece, base: TagFilter) -> list[TagFilter]:
    text = piece.text()
    try:
        slices = by_precedence(text, short=True, partial="zero")
    except ValueError as error:
        piece.lost(f"{error}; what it selects is left out")
        return []
    filters = []
    for one in slices:
        filters.append(replace(base, semver=(one.text,), prereleases=True, exclude=(*base.exclude, *one.exclude)))
        if one.edges:
            filters.append(replace(base, include=one.edges))
    return filters


def checked_search(piece: Piece) -> str:
    """Return the search that regsync makes of an expression, noting a fault when it is none."""
    search = anchored(piece.text())
    try:
        compile_expression(search)
    except ValueError as error:
        piece.fault(str(error))
        return anchored("")
    return search


def denied(rules: Piece, *, crossing: bool, what: str, of: str) -> tuple[str, ...]:
    """Return as globs (which cross slashes or not) what *rules* deny, noting what no glob can say: *what* is denied, `exclude` *of* takes globs."""
    found: list[str] = []
    deny = rules.get("deny")
    for item in deny.items() if deny is not None else []:
        said = globs(checked_search(item), crossing=crossing)
        if said is None:
            item.lost(f"no glob says the same; the {what} it denies are mirrored", hint=f"write globs into `exclude` of the {of}")
        found += said or ()
    return tuple(dict.fromkeys(found))


def _searches(piece: Piece, name: str) -> list[str]:
    found = piece.get(name)
    return [checked_search(item) for item in found.items()] if found is not None else []
