"""Which part of a plan a run is to apply."""

from __future__ import annotations

import re
from collections.abc import Mapping

from imgsync.system.dataclass import dataclass

MOST_SHARDS = 10_000
_FORM = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")
_SHARED = "shared"
_AUTO = "auto"
# Where CI systems and Kubernetes say which of how many jobs this is, and the number of the first one.
_KUBERNETES = ("JOB_COMPLETION_INDEX", "IMGSYNC_SHARDS", 0)
_GITLAB = ("CI_NODE_INDEX", "CI_NODE_TOTAL", 1)


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """
    One part of a plan.

    `number` counts from 1 to `count`. Both are 0 for the phase `shared`, which copies only blobs that several repositories need.
    """

    number: int = 0
    count: int = 0

    @property
    def is_shared(self) -> bool:
        """Return whether this is the phase `shared`."""
        return self.count == 0

    def __str__(self) -> str:
        """Return `3/8` or `shared`."""
        return _SHARED if self.is_shared else f"{self.number}/{self.count}"


def parse_shard(text: str, environ: Mapping[str, str]) -> Shard:
    """
    Return the shard named by *text*: `i/n`, `shared` or `auto`.

    Raises:
        ValueError: There is no such shard, or *environ* does not say which one.
    """
    if text == _AUTO:
        return _find_shard_of_job(environ)
    if text == _SHARED:
        return Shard()
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a shard; write i/n as in 3/8, auto or shared")
    return _make_shard(int(found[1]), int(found[2]), text)


def _find_shard_of_job(environ: Mapping[str, str]) -> Shard:
    for index, total, first in (_KUBERNETES, _GITLAB):
        if environ.get(index):
            return _make_shard(_read_number(environ, index) - first + 1, _read_number(environ, total), f"{index} and {total}")
    pairs = " nor ".join(f"{index} with {total}" for index, total, _ in (_KUBERNETES, _GITLAB))
    raise ValueError(f"neither {pairs} is set, so `auto` does not know which shard this is; write i/n as in 3/8")


def _read_number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise ValueError(f"{name} is {text!r}, not a number" if text else f"{name} is not set; `auto` needs it")
    return int(text)


def _make_shard(number: int, count: int, origin: str) -> Shard:
    if not 1 <= count <= MOST_SHARDS:
        raise ValueError(f"{origin}: the number of shards must be from 1 to {MOST_SHARDS:,}, not {count}")
    if not 1 <= number <= count:
        raise ValueError(f"{origin}: there is no shard {number} of {count}")
    return Shard(number, count)
