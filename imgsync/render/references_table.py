"""Found images as text for a terminal: one row for each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from imgsync.discover.coverage import Coverage, Covered
from imgsync.discover.model import Certainty, FoundImage
from imgsync.render.image_name import Name, name_destination
from imgsync.render.rows import Row, render_rows
from imgsync.text.layout import PLAIN, Layout, wrap_on_terminal
from imgsync.text.sanitize import sanitize_short
from imgsync.text.units import format_count

_SIGNS = {Certainty.SURE: "+", Certainty.LIKELY: "~", Certainty.UNRESOLVED: "!"}
_COVERED_SIGNS = {Covered.NO: "x", Covered.UNDECIDED: "?"}
_ORDER = tuple(Certainty)


def render_references_table(images: Sequence[FoundImage], *, layout: Layout = PLAIN) -> str:
    """Return *images* as text, with a summary."""
    lines = [*render_rows([_make_row(some) for some in _group(images)], layout)]
    return "\n".join([*lines, *([""] if lines else []), *wrap_on_terminal(format_summary(images), layout, rest="  ")]) + "\n"


def render_coverage_table(coverage: Sequence[Coverage], images: Sequence[FoundImage], *, layout: Layout = PLAIN) -> str:
    """Return the images that are not surely mirrored, with a summary."""
    places: defaultdict[str, list[FoundImage]] = defaultdict(list)
    for image in images:
        places[str(image.reference)].append(image)
    open_ones = [one for one in coverage if one.covered is not Covered.YES]
    # What has no name cannot be compared, and is never covered.
    nameless = _group([image for image in images if image.reference is None])
    rows = [*(_make_coverage_row(one, places[str(one.reference)]) for one in open_ones), *map(_make_row, nameless)]
    lines = [*render_rows(rows, layout), ""] if rows else []
    # First in its paragraph, so that a terminal shows it in bold.
    lines += wrap_on_terminal(format_coverage(coverage, unresolved=len(nameless)), layout, rest="  ")
    for hint in dict.fromkeys(one.hint for one in open_ones if one.hint):
        lines += wrap_on_terminal(f"hint: {hint}", layout, rest="  ")
    return "\n".join(lines) + "\n"


def format_summary(images: Sequence[FoundImage]) -> str:
    """Return the number of images in one sentence."""
    groups = _group(images)
    if not groups:
        return "No image found."
    best = [_choose_certainty(some) for some in groups]
    counts = ", ".join(f"{best.count(certainty)} {certainty.value}" for certainty in _ORDER if certainty in best)
    files = format_count(len({image.file for image in images}), "file")
    return f"{format_count(len(groups), 'image')} in {files}: {counts}."


def format_coverage(coverage: Sequence[Coverage], *, unresolved: int) -> str:
    """Return the result of `--covered-by` in one sentence."""
    counts = {covered.value: sum(one.covered is covered for one in coverage) for covered in Covered} | {Certainty.UNRESOLVED.value: unresolved}
    total = sum(counts.values())
    if not total:
        return "No image found."
    rest = "all covered" if counts[Covered.YES.value] == total else ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{format_count(total, 'image')}: {rest}."


def _group(images: Sequence[FoundImage]) -> list[list[FoundImage]]:
    """Return the finds of each image together."""
    groups: defaultdict[str, list[FoundImage]] = defaultdict(list)
    for image in images:
        groups[image.text if image.reference is None else str(image.reference)].append(image)
    return list(groups.values())


def _choose_certainty(some: Sequence[FoundImage]) -> Certainty:
    """Return the most certain; the order is that of `Certainty`."""
    return min((image.certainty for image in some), key=_ORDER.index)


def _make_row(some: Sequence[FoundImage]) -> Row:
    certainty = _choose_certainty(some)
    first = next(image for image in some if image.certainty is certainty)
    name = Name(sanitize_short(first.text), "") if first.reference is None else name_destination(str(first.reference), prefix="")
    reason = f"; {sanitize_short(first.reason)}" if first.reason else ""
    return Row(_SIGNS[certainty], name, certainty.value, why=f"{_describe_places(first, len(some) - 1)}{reason}")


def _describe_places(first: FoundImage, others: int) -> str:
    place = sanitize_short(f"{first.file}:{first.line}" if first.line else first.file)
    # The kind and name of the object, unless the rest shows why the text may be an image.
    field = first.field.partition(": ")[0] if first.certainty is Certainty.SURE else first.field
    where = f" ({sanitize_short(field)})" if field else ""
    more = f" and {format_count(others, 'more place')}" if others else ""
    return f"{place}{where}{more}"


def _make_coverage_row(one: Coverage, places: Sequence[FoundImage]) -> Row:
    used = f"; used in {_describe_places(places[0], len(places) - 1)}" if places else ""
    return Row(_COVERED_SIGNS[one.covered], name_destination(str(one.reference), prefix=""), one.covered.value, why=f"{sanitize_short(one.reason)}{used}")
