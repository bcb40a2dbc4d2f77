"""Read `--only`: which mirrors, and which of their images."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence

from imgsync.config.model import Mirror
from imgsync.config.only_pattern import OnlyPattern
from imgsync.errors import UsageError
from imgsync.filters.globs import compile_glob
from imgsync.text.near import find_near_images


def parse_only(texts: Iterable[str]) -> tuple[OnlyPattern, ...]:
    """
    Parse MIRROR, MIRROR/REPOSITORY, MIRROR:TAG or MIRROR/REPOSITORY:TAG, each a glob.

    Raises:
        UsageError: One of them is not a glob.
    """
    return tuple(_parse(text) for text in texts)


def select_mirrors(mirrors: Sequence[Mirror], only: Sequence[OnlyPattern]) -> list[Mirror]:
    """
    Return the mirrors that *only* names, or all if it is empty.

    Raises:
        UsageError: A pattern names no mirror.
    """
    if not only:
        return list(mirrors)
    kept: set[str] = set()
    for pattern in only:
        fitting = {mirror.name for mirror in mirrors if pattern.has_mirror(mirror.name)}
        if not fitting:
            raise UsageError(f"--only {pattern.text}: no mirror has this name", hint=_suggest(pattern, [mirror.name for mirror in mirrors]))
        kept |= fitting
    return [mirror for mirror in mirrors if mirror.name in kept]


def suggest_images(meant: str, offered: Mapping[str, Iterable[str]]) -> str:
    """Return a hint for the image *meant*, of those *offered* by mirror."""
    near = [f"{mirror}/{name}" for mirror, names in offered.items() for name in find_near_images(meant, names)]
    return f"did you mean {' or '.join(near[:3])}?" if near else f"`imgsync plan --only {next(iter(offered))} --all` shows what it selects"


def _parse(text: str) -> OnlyPattern:
    whole, _, tag = text.partition(":")
    mirror, _, repository = whole.partition("/")
    for part, is_given in ((mirror, True), (repository, "/" in whole), (tag, ":" in text)):
        try:
            if is_given:
                compile_glob(part)
        except ValueError as error:
            raise UsageError(f"--only {text}: {error}", hint="write MIRROR, MIRROR/REPOSITORY or MIRROR/REPOSITORY:TAG") from error
    return OnlyPattern(text, mirror, repository, tag)


def _suggest(pattern: OnlyPattern, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(pattern.mirror, names, n=3, cutoff=0.6)
    rest = pattern.text.removeprefix(pattern.mirror)
    if near:
        return f"did you mean {' or '.join(f'{name}{rest}' for name in near)}?"
    return f"declared: {', '.join(names[:20])}{f' and {len(names) - 20} more' if len(names) > 20 else ''}"
