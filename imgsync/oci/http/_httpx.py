"""httpx, the one place it comes from: without its own command line, which alone costs as much as all the rest of it to import."""

from __future__ import annotations

from imgsync.system.lazy_import import hide_modules

with hide_modules("httpx._main"):
    import httpx

__all__ = ["httpx"]
