"""
Import a library without its optional heavy modules.

Most of the time of a short run is spent importing; docs/decisions/0006 has the figures.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType


@contextlib.contextmanager
def replace_modules(modules: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """
    Import *modules* instead of those of the same names within the block.

    None stands for a module that is not installed. After the block the modules of before are back.
    """
    before = {name: sys.modules[name] for name in modules if name in sys.modules}
    sys.modules.update(modules)  # type: ignore[arg-type]  # the import system accepts None: the module does not exist
    try:
        yield
    finally:
        for name in modules:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def hide_modules(*names: str) -> contextlib.AbstractContextManager[None]:
    """Hide modules that are not loaded yet within the block."""
    return replace_modules({name: None for name in names if name not in sys.modules})
