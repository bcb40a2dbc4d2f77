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


@contextlib.contextmanager
def leave_out(*names: str) -> Iterator[None]:
    """
    Import nothing of modules that are not needed, within the block.

    Each name in such a module is a class that does nothing. What is loaded already stays.
    """
    left_out = {name: _LeftOut(name) for name in names if name not in sys.modules}
    # As an import does: code such as `urllib.request.Request` finds a module in its package, if that is loaded.
    within = [(sys.modules[package], name) for package, _, name in (full.rpartition(".") for full in left_out) if package in sys.modules]
    with replace_modules(left_out):
        for package, name in within:
            setattr(package, name, left_out[f"{package.__name__}.{name}"])
        try:
            yield
        finally:
            for package, name in within:
                delattr(package, name)


class _LeftOut(ModuleType):
    """A module in which each name is a class that does nothing."""

    def __getattr__(self, name: str) -> type:
        """Return the class, except for what Python itself asks of a module."""
        if name.startswith("__"):
            raise AttributeError(name)
        return _Nothing


class _Nothing:
    """A class, decorator or value that does nothing."""

    def __init__(self, *_arguments: object, **_named: object) -> None:
        """Accept anything."""

    def __call__(self, decorated: object = None, *_arguments: object, **_named: object) -> object:
        """Return what it decorates."""
        return decorated
