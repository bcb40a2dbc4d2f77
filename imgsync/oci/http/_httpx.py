"""
Import the parts of httpx that each run needs: errors, responses, headers.

The whole library brings along its clients, the standard library's client, cookies and a command line. Their import takes ten times as long. They
follow when something else of httpx is asked for, and the errors stay the same classes.
"""

from __future__ import annotations

import email  # noqa: F401 - what is left out is found in its package, and so for urllib
import importlib.util
import sys
import urllib.parse  # noqa: F401
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from imgsync.system.lazy_import import hide_modules, leave_out

__all__ = ["httpx", "import_clients"]

_PARTS = ("_exceptions", "_types", "_content", "_models")
# Only `_models` and `_utils` use them: for cookies, proxies, and the text of a response, of which we read the bytes.
_ONLY_FOR_CLIENTS = ("http.cookiejar", "urllib.request", "email.message")
_USES_THEM = ("_models", "_utils")


class _PartOfHttpx(ModuleType):
    """The package httpx with some of its names."""

    def __getattr__(self, name: str) -> Any:
        """Import the rest of the package, then return *name*."""
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        for part in _USES_THEM:
            del sys.modules[f"httpx.{part}"]
        # Its command line doubles the time of the import.
        with hide_modules("httpx._main"):
            self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]
        return getattr(self, name)


def _import_parts(spec: ModuleSpec) -> ModuleType:
    made = _PartOfHttpx("httpx")
    made.__spec__, made.__file__, made.__loader__ = spec, spec.origin, spec.loader
    made.__path__, made.__package__ = spec.submodule_search_locations or [], "httpx"
    sys.modules["httpx"] = made
    with leave_out(*_ONLY_FOR_CLIENTS):
        for part in _PARTS:
            module = importlib.import_module(f"httpx.{part}")
            vars(made).update((name, getattr(module, name)) for name in module.__all__)
    return made


def import_clients() -> None:
    """Import all of httpx now, not when a client is first used."""
    httpx.Client  # noqa: B018 - asking for it imports it


if TYPE_CHECKING:
    import httpx
else:
    httpx = sys.modules.get("httpx") or _import_parts(importlib.util.find_spec("httpx"))
