"""Check that the libraries of the extra `serve` are installed."""

from __future__ import annotations

import importlib.util

from imgsync.errors import UsageError
from imgsync.text.extras import format_extra_hint


def require_serve_extra() -> None:
    """
    Return if the libraries of the extra `serve` are installed.

    Raises:
        UsageError: One is missing.
    """
    for name, title in (("werkzeug", "Werkzeug"), ("jwt", "PyJWT")):
        if importlib.util.find_spec(name) is None:
            raise UsageError(f"`imgsync serve` needs {title}, which is not installed", hint=format_extra_hint("serve"))
