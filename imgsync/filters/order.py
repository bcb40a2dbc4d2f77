"""
Keep the newest tags by version, semantic version or date.

Tags that have no place in the order are set aside, and reported as a step.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from imgsync.errors import SelectionError
from imgsync.filters.hashes import find_snapshots, is_hash, split_parts
from imgsync.filters.natural_order import make_natural_key
from imgsync.filters.quote_tags import quote_tags
from imgsync.filters.tag_versions import TagVersion, parse_tag_version
from imgsync.filters.versions import read_versions
from imgsync.system.dataclass import dataclass

CreatedAt = Callable[[Sequence[str]], Mapping[str, datetime | None]]
# A step of the selection: its name, the tags left, and a remark.
OrderStep = tuple[str, list[str], str]
_CHOOSE = "choose tags of one kind with `include`, or name their version with `extract`"
_HINT = f"set `order`, {_CHOOSE}"
_DATE_HINT = f"set `order: date`, which sets aside tags without a date, {_CHOOSE}"
_PER_HINT = f"leave out `newest_per`, {_CHOOSE}"


@dataclass(frozen=True, slots=True)
class _Rank:
    """The place of a tag in the order."""

    key: Any
    numbers: tuple[str, ...] = ()
    is_prerelease: bool = False


@dataclass(frozen=True, slots=True)
class Newest:
    """
    The settings that choose the newest tags.

    `order` None means by version if tags read as versions, else by date.
    """

    count: int
    order: str | None = None
    per: str | None = None
    prereleases: bool = False


def keep_newest(texts: Mapping[str, str], wanted: Newest, *, created_at: CreatedAt) -> Iterator[OrderStep]:
    """
    Yield the steps that keep the newest tags.

    Args:
        texts: Each tag, and the text in it that is its version.
        wanted: The settings.
        created_at: Looks up dates; called only if the dates decide.

    Raises:
        SelectionError: The order of the tags cannot be determined.
    """
    left = list(texts)
    if wanted.order is None and wanted.per is None and len(left) <= wanted.count and not _rank_by_version(texts):
        # All are kept in any order, so no date is needed.
        yield "newest", left, ""
        return
    ranks, order, remark = _rank(texts, wanted, created_at=created_at)
    left = [tag for tag in left if tag in ranks]
    yield f"order by {order}", left, remark
    if not wanted.prereleases and any(ranks[tag].is_prerelease for tag in left):
        releases = [tag for tag in left if not ranks[tag].is_prerelease]
        yield "prereleases", releases or left, "" if releases else "every tag left is a pre-release, so they are kept"
        left = releases or left
    width = {"major": 1, "minor": 2}.get(wanted.per or "", 0)
    if any(len(ranks[tag].numbers) >= width > 1 for tag in left) and any(len(ranks[tag].numbers) < width for tag in left):
        left = [tag for tag in left if len(ranks[tag].numbers) >= width]
        yield "newest_per", left, "without a minor release"
    lines: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for tag in left:
        lines[ranks[tag].numbers[:width]].append(tag)
    yield "newest", [tag for line in lines.values() for tag in sorted(line, key=lambda tag: ranks[tag].key, reverse=True)[: wanted.count]], ""


def _rank(texts: Mapping[str, str], wanted: Newest, *, created_at: CreatedAt) -> tuple[Mapping[str, _Rank], str, str]:
    """Return the places of the tags, the order, and a remark."""
    if wanted.order == "date" or not texts:
        found = _rank_by_date(texts, wanted, created_at=created_at, require_all=False)
        return found, wanted.order or "version", "" if len(found) == len(texts) else "no date"
    ranks = _rank_by_semver(texts) if wanted.order == "semver" else _rank_by_version(texts)
    if ranks:
        return ranks, wanted.order or "version", "" if len(ranks) == len(texts) else "not versions"
    if wanted.order is not None:
        raise SelectionError(f"no order by {wanted.order}: {_explain_unread(texts)}", hint=_HINT)
    return _rank_by_date(texts, wanted, created_at=created_at, require_all=True), "date", _explain_unread(texts)


def _rank_by_semver(texts: Mapping[str, str]) -> dict[str, _Rank]:
    found = {}
    for tag, version in read_versions(texts).items():
        release = re.split("[-+_]", texts[tag].lstrip("vV"), maxsplit=1)[0]
        found[tag] = _Rank((version.precedence, make_natural_key(tag)), tuple(map(str, version.release[: release.count(".") + 1])), bool(version.prerelease))
    return found


def _rank_by_version(texts: Mapping[str, str]) -> dict[str, _Rank]:
    """Return the places of versions; none if their prefixes differ."""
    found = _read_versions(texts)
    prefixes = {version.prefix for version in found.values()}
    prefix = "" if "" in prefixes else next(iter(prefixes), "")
    if "" not in prefixes and len(prefixes) > 1:
        return {}
    chosen = {tag: version for tag, version in found.items() if version.prefix == prefix}
    snapshots = find_snapshots({tag: texts[tag] for tag in chosen})
    return {tag: _Rank(one.key, one.numbers, one.is_prerelease) for tag, one in chosen.items() if tag not in snapshots}


def _read_versions(texts: Mapping[str, str]) -> dict[str, TagVersion]:
    # Among hashes of one length, a hash of digits only can look like a date.
    lengths = {len(head) for text in texts.values() if is_hash(head := split_parts(text)[0]) and not head.isdigit()}
    found = {tag: parse_tag_version(text) for tag, text in texts.items() if not (text.isdigit() and len(text) in lengths)}
    return {tag: version for tag, version in found.items() if version is not None}


def _rank_by_date(texts: Mapping[str, str], wanted: Newest, *, created_at: CreatedAt, require_all: bool) -> dict[str, _Rank]:
    if wanted.per is not None and texts:
        if require_all:
            raise SelectionError(f"newest_per needs versions: {_explain_unread(texts)}", hint=_PER_HINT)
        raise SelectionError("newest_per needs versions, not dates", hint="set `order: version`, or leave out `newest_per`")
    dates = created_at(list(texts)) if texts else {}
    undated = [tag for tag in texts if tag in dates and dates[tag] is None]
    if require_all and undated:
        raise SelectionError(f"no order for newest: {_explain_unread(texts)}, and {_count(undated)} without a date: {quote_tags(undated)}", hint=_DATE_HINT)
    found = {}
    for tag, text in texts.items():
        date = dates.get(tag)
        if date is not None:
            version = parse_tag_version(text)
            found[tag] = _Rank((date, make_natural_key(tag)), (), version is not None and version.is_prerelease)
    return found


def _explain_unread(texts: Mapping[str, str]) -> str:
    prefixes = sorted({version.prefix for version in _read_versions(texts).values()})
    if len(prefixes) > 1:
        return f"different words stand before the versions ({quote_tags(prefixes)})"
    return f"none of {_count(list(texts))} reads as a version"


def _count(tags: Sequence[str]) -> str:
    return f"{len(tags)} tag{'' if len(tags) == 1 else 's'}"
