"""Imports that leave out what a library brings along for show: most of what a short run does is importing. docs/decisions/0006 has the figures."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType


@contextlib.contextmanager
def instead(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Let *modules* stand in for those of their names within the block; None is a module that is not installed. Afterwards all is as it was."""
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)  # type: ignore[arg-type]  # None is how the import system says that there is none
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def without(*names: str) -> contextlib.AbstractContextManager[None]:
    """Import within the block as if the modules *names* were not installed, but for those that are loaded already; afterwards they can be had again."""
    return instead({name: None for name in names if name not in sys.modules})
