"""Import httpx without its command line, which doubles the import time."""

from __future__ import annotations

from imgsync.system.lazy_import import hide_modules

with hide_modules("httpx._main"):
    import httpx

__all__ = ["httpx"]
