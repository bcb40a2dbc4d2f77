"""Define the scenarios of the benchmark, in the order of the page."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from benchmarks import corpora
from benchmarks.corpora import Corpus


@dataclass(frozen=True, slots=True)
class Work:
    """
    One scenario of the benchmark.

    `line` is the slow line, one-way ms and MiB/s per connection, and `sides` says which sides use it. `destination` is a key of
    `benchmarks.registries.KINDS`. `own` scenarios run no peer.
    """

    name: str
    corpus: Corpus
    line: tuple[float, float] | None = None
    sides: str = "both"
    destinations: int = 1
    destination: str = "docker-registry"
    own: bool = False
    tls: bool = False
    token: bool = False

    @property
    def title(self) -> str:
        """Return the title of the scenario."""
        where = "loopback"
        if self.line is not None:
            far = {"both": "both registries", "source": "the source"}[self.sides]
            where = f"slow line to {far} ({self.line[0]:g} ms each way, {self.line[1]:g} MiB/s per connection)"
        return "; ".join([self.corpus.title, where, *filter(None, self._modes)])

    @property
    def short(self) -> str:
        """Return a title for headings and tables."""
        where = "loopback" if self.line is None else "slow line"
        return ", ".join([re.split("[:,] ", self.corpus.title)[0], where, *filter(None, self._modes)])

    @property
    def _modes(self) -> tuple[str, ...]:
        return (
            "TLS" if self.tls else "",
            "token logins" if self.token else "",
            f"{self.destinations} destinations at once" if self.destinations > 1 else "",
            f"to {self.destination}" if self.destination != "docker-registry" else "",
        )


def over_tls(work: Work) -> Work:
    """Return *work* with TLS (and HTTP/2, if the tool uses it) on both sides."""
    return work if work.tls else replace(work, name=f"{work.name}-tls", tls=True)


def with_tokens(work: Work) -> Work:
    """Return *work* with registries that need a login and bearer tokens."""
    return work if work.token else replace(work, name=f"{work.name}-token", token=True)


def _to(work: Work, destination: str, suffix: str) -> Work:
    return replace(work, name=f"{work.name}-{suffix}", destination=destination)


_LONG = (40.0, 10.0)
_SMALL = Work("small", corpora.small())
_SHARED = Work("shared", corpora.shared())
_SMALL_LINE = Work("small-line", corpora.small(8, 5), _LONG)
_SHARED_LINE = Work("shared-line", corpora.shared(10), _LONG)
_SMALL_300 = Work("small-300", corpora.small(60, 5))
_OTHERS = (("distribution 3", "distribution"), ("zot", "zot"))
WORKS = (
    over_tls(replace(_SMALL_300, name="small-300-line", line=_LONG)),
    over_tls(_SMALL_LINE),
    over_tls(_SHARED_LINE),
    with_tokens(over_tls(_SMALL_LINE)),
    over_tls(_SMALL_300),
    over_tls(Work("small-40", corpora.small(8, 5))),
    _SMALL_LINE,
    _SHARED_LINE,
    Work("large-line", corpora.large(3, 64), _LONG, "source"),
    _SMALL,
    _SHARED,
    Work("large", corpora.large()),
    Work("multi", corpora.multi()),
    Work("three", corpora.large(4, 64), destinations=3),
    Work("one", corpora.large(4, 64), own=True),
    Work("single", corpora.small(1, 1), own=True),
    *(_to(work, *other) for other in _OTHERS for work in (_SMALL_300, _SHARED)),
)
