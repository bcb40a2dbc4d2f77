"""Ask the destinations whether they serve what mirrors have, or may have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from imgsync.concurrency.workers import map_unordered
from imgsync.config.model import Mirror
from imgsync.discover.coverage import Coverage, Covered, iter_destinations
from imgsync.errors import ImgsyncError
from imgsync.oci.spec.reference import Reference

_AT_ONCE = 32
_APPLY = "run `imgsync apply`, or `imgsync plan` to see why it was not copied"

Resolve = Callable[[Mirror, Reference], str | None]
"""Returns the digest that a destination serves for a reference, None if none."""


def ask_destinations(coverage: Sequence[Coverage], mirrors: Sequence[Mirror], resolve: Resolve) -> tuple[Coverage, ...]:
    """
    Return *coverage*, in its order, with the answers of the destinations.

    One destination that serves an image is enough. What no mirror selects stays uncovered.

    Args:
        coverage: What the declarations say.
        mirrors: All mirrors.
        resolve: Asks one destination.
    """
    by_name = {mirror.name: mirror for mirror in mirrors}

    def ask(item: tuple[int, Coverage]) -> tuple[int, Coverage]:
        number, one = item
        return number, one if one.covered is Covered.NO else _ask(one, [by_name[name] for name in one.mirrors], resolve)

    return tuple(one for _, one in sorted(map_unordered(ask, enumerate(coverage), limit=_AT_ONCE), key=lambda pair: pair[0]))


def _ask(one: Coverage, mirrors: Sequence[Mirror], resolve: Resolve) -> Coverage:
    missing: list[str] = []
    failed: Coverage | None = None
    for mirror in mirrors:
        for target, expected in iter_destinations(mirror, one.reference):
            try:
                served = resolve(mirror, target)
            except ImgsyncError as error:
                if error.exit_code != 1:
                    raise
                # Another destination may serve it.
                failed = failed or replace(one, covered=Covered.UNDECIDED, reason=f"{target}: {error.message}", hint=error.advice)
                continue
            if served is not None and (not expected or served == expected):
                return replace(one, covered=Covered.YES, reason="", hint="")
            missing.append(f"{target} is not served" if served is None else f"{target} is {served}, not {expected}")
    return failed or replace(one, covered=Covered.NO, reason="; ".join(missing) or "its mirrors have no valid destination", hint=_APPLY)
