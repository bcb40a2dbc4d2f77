"""Find the word that a mistyped one probably means."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# Two letters swapped in a word of four, or one missing in a word of three. Below it, `target` would suggest `tags`.
_CUTOFF = 0.75
_IMAGE_CUTOFF = 0.6


def find_near(word: str, known: Iterable[str]) -> str:
    """
    Return the word of *known* near *word*, "" if none is.

    Upper case, `-` and `_` make no difference.
    """
    by_form = {_normalize(one): one for one in known}
    close = difflib.get_close_matches(_normalize(word), by_form, n=1, cutoff=_CUTOFF)
    return by_form[close[0]] if close else ""


def find_near_images(name: str, known: Iterable[str]) -> list[str]:
    """
    Return up to three of *known* that are near the image *name*.

    Near also without their folders: these are often most of a name.
    """
    near = difflib.get_close_matches(name, list(known), n=9, cutoff=_IMAGE_CUTOFF)
    return [one for one in near if difflib.get_close_matches(_get_last(name), [_get_last(one)], cutoff=_IMAGE_CUTOFF)][:3]


def _get_last(name: str) -> str:
    return name.rpartition("/")[2]


def _normalize(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
